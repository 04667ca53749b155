//! The email of a spend alert.

use base::NanoDollars;
use base::ids::OrganizationId;
use usage::Month;

use super::reached_alert::ReachedAlert;

/// Returns the subject and the text of the email.
pub(super) fn alert_email(
    alert: &ReachedAlert,
    organization: &OrganizationId,
    month: Month,
    spent: NanoDollars,
    public_url: &str,
) -> (String, String) {
    let (id, threshold) = (&alert.id, NanoDollars::from_cents(alert.threshold_amount));
    let whole = format!("organization {} ({organization})", alert.organization_name);
    let (short, who, path, command) = match &alert.project {
        None => (
            format!("organization {}", alert.organization_name),
            whole,
            "organization".to_owned(),
            format!("spend-alerts update {id}"),
        ),
        Some((project, name)) => (
            format!("project {name}"),
            format!("project {name} ({project}) of the {whole}"),
            format!("organization/projects/{project}"),
            format!("projects:spend-alerts update {project} {id}"),
        ),
    };
    let mut subject = format!("The {short} has spent {threshold} in {month}");
    if let Some(prefix) = &alert.subject_prefix {
        subject = format!("{prefix} {subject}");
    }
    let public_url = public_url.trim_end_matches('/');
    let text = format!(
        "The {who} has spent {spent} so far in {month} (UTC). You are told because that reaches the threshold of a \
         spend alert: {threshold}. There is no other mail for this threshold in this month.\n\n\
         Requests are not refused for this: that is what spend limits do.\n\n\
         The alert can be changed or deleted with the Administration API:\n\n\
         {public_url}/v1/{path}/spend_alerts/{id}\n\n\
         or with a command:\n\n\
         orgplane {command}\n"
    );
    (subject, text)
}
