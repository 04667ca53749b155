CREATE TRIGGER audit_log_targets_keep_rows BEFORE DELETE ON audit_log_targets
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_targets_keep_values BEFORE UPDATE ON audit_log_targets
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
