//! The person that pages are shown to.

use admin::operation::Caller;
use base::UnixTime;

/// The person who has signed in, and whose rights pages have.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Caller of operations.
    pub caller: Caller,
    /// Id of the user.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Name of the role in the organization.
    pub role: String,
    /// Time at which the person proved their identity.
    pub authenticated_at: UnixTime,
    /// True if the person signed in with a link, which works once.
    pub came_by_link: bool,
}

impl Visitor {
    /// Returns the name; the e-mail address if there is none.
    pub(crate) fn display_name(&self) -> &str {
        if self.name.trim().is_empty() {
            &self.email
        } else {
            &self.name
        }
    }

    /// Returns the name of the role with a capital letter.
    pub(crate) fn role_title(&self) -> String {
        let mut letters = self.role.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters).collect()
    }
}
