CREATE TRIGGER audit_logs_keep_rows BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_logs_keep_values BEFORE UPDATE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
