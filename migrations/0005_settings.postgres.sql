CREATE TRIGGER audit_log_targets_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log_targets
FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse_change();
