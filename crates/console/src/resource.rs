//! Descriptors of resources: titles, columns, consequences. Pages are made from a descriptor and from the operations and
//! schemas of the registry, so that a field of the API is a field of the page.

use base::NanoDollars;
use http::Method;
use pages::number;
use serde_json::Value as Json;

use crate::cell::Cell;

/// A resource of the Administration API, as pages show it.
pub(crate) struct Resource {
    /// Path template of the collection or the setting.
    pub(crate) path: &'static str,
    /// Path template of one item; empty for a setting.
    pub(crate) item: &'static str,
    /// Title of the collection or setting, such as "API keys".
    pub(crate) title: &'static str,
    /// Noun for one item, such as "API key".
    pub(crate) singular: &'static str,
    /// Sentence that says what the resource is.
    pub(crate) about: &'static str,
    /// Pointer to the name of an item.
    pub(crate) name: &'static str,
    /// Pointer to the id of an item, as its path has it.
    pub(crate) id: &'static str,
    /// Columns of the list.
    pub(crate) columns: &'static [Column],
    /// Facts on the page of an item, below its columns.
    pub(crate) facts: &'static [Column],
    /// Paths of the collections that the page of an item shows, too.
    pub(crate) children: &'static [&'static str],
    /// Changes besides creation, modification and deletion.
    pub(crate) actions: &'static [Action],
    /// True if an item can be neither modified nor deleted.
    pub(crate) is_fixed: fn(&Json) -> bool,
    /// Verb on the button that creates an item.
    pub(crate) create_verb: &'static str,
    /// Verb on the button that deletes an item.
    pub(crate) delete_verb: &'static str,
    /// Sentences that say what a deletion brings about.
    pub(crate) consequences: &'static [&'static str],
    /// Collections that lose their items in a deletion: "Keys that stop", and a path template.
    pub(crate) affects: &'static [(&'static str, &'static str)],
    /// Pointer to the secret in the answer to a creation; empty for none.
    pub(crate) secret: &'static str,
    /// True if changes need a recent sign-in.
    pub(crate) is_sensitive: bool,
    /// Sentence that an empty list shows.
    pub(crate) empty: &'static str,
    /// Further content of the page of an item, or of the list.
    pub(crate) extra: Extra,
    /// Links above the list to a part of it that is often looked at.
    pub(crate) views: &'static [View],
}

/// A part of a list: its items before or after a time that moves with the present.
pub(crate) struct View {
    /// Text of the link.
    pub(crate) label: &'static str,
    /// Parameter of the list.
    pub(crate) parameter: &'static str,
    /// Seconds from the present time.
    pub(crate) seconds: i64,
}

/// Further content of the page of an item or a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    /// None.
    None,
    /// Reasons why a user has each permission.
    Reasons,
    /// Permissions of a role, differences from another role, and who has it.
    RolePermissions,
    /// Use of the rate limits of a project at this moment.
    LimitsNow,
    /// Spend of a project in this month.
    SpendNow,
    /// Spend of a project in this month, and its refused requests.
    ProjectNow,
}

impl Resource {
    /// A resource without anything.
    pub(crate) const EMPTY: Self = Self {
        path: "",
        item: "",
        title: "",
        singular: "",
        about: "",
        name: "/name",
        id: "/id",
        columns: &[],
        facts: &[],
        children: &[],
        actions: &[],
        is_fixed: |_| false,
        create_verb: "Create",
        delete_verb: "Delete",
        consequences: &[],
        affects: &[],
        secret: "",
        is_sensitive: false,
        empty: "Nothing here yet.",
        extra: Extra::None,
        views: &[],
    };

    /// True if the resource is a setting, which has no items.
    pub(crate) fn is_setting(&self) -> bool {
        self.item.is_empty()
    }

    /// True if items have no name that people know.
    pub(crate) fn is_nameless(&self) -> bool {
        self.name == self.id
    }

    /// Returns the name of an item, which may be an amount in US cents; its id if it has none.
    pub(crate) fn name_of(&self, item: &Json) -> String {
        match item.pointer(self.name) {
            Some(Json::String(name)) => name.clone(),
            Some(Json::Number(cents)) => {
                let cents = cents.as_i64().unwrap_or_default();
                number::money(NanoDollars::from_cents(cents))
            }
            _ => self.id_of(item),
        }
    }

    /// Returns the id of an item.
    pub(crate) fn id_of(&self, item: &Json) -> String {
        let id = item.pointer(self.id).and_then(Json::as_str);
        id.unwrap_or_default().to_owned()
    }
}

/// A change besides creation, modification and deletion: `POST path` or `DELETE path`.
pub(crate) struct Action {
    /// Path template of the operation.
    pub(crate) path: &'static str,
    /// Path template of the page; empty for that of the operation.
    pub(crate) page: &'static str,
    /// True if the operation is `DELETE path`.
    pub(crate) is_deletion: bool,
    /// Verb on the button.
    pub(crate) verb: &'static str,
    /// Sentence that says what the change does.
    pub(crate) about: &'static str,
    /// Sentences that say what the change brings about.
    pub(crate) consequences: &'static [&'static str],
    /// Collections that lose their items.
    pub(crate) affects: &'static [(&'static str, &'static str)],
    /// True if the change cannot be undone.
    pub(crate) is_danger: bool,
    /// True if the button is on an item, false if on the list.
    pub(crate) is_of_item: bool,
    /// Name of the field that takes the item's id, if the path does not have it.
    pub(crate) id_field: &'static str,
    /// Pointer to the secret in the answer; empty for none.
    pub(crate) secret: &'static str,
    /// True if the change applies to an item.
    pub(crate) applies: fn(&Json) -> bool,
}

impl Action {
    /// An action without anything.
    pub(crate) const EMPTY: Self = Self {
        path: "",
        page: "",
        is_deletion: false,
        verb: "",
        about: "",
        consequences: &[],
        affects: &[],
        is_danger: false,
        is_of_item: true,
        id_field: "",
        secret: "",
        applies: |_| true,
    };

    /// Returns the method of the operation.
    pub(crate) fn method(&self) -> Method {
        if self.is_deletion {
            Method::DELETE
        } else {
            Method::POST
        }
    }

    /// Returns the path template of the page, as an operation would have it.
    pub(crate) fn page(&self) -> &'static str {
        if self.page.is_empty() {
            self.path
        } else {
            self.page
        }
    }
}

/// A column of a list, or a fact of an item.
pub(crate) struct Column {
    /// Heading.
    pub(crate) label: &'static str,
    /// Pointer to the value.
    pub(crate) pointer: &'static str,
    /// Form in which the value is shown.
    pub(crate) form: ColumnForm,
}

/// The form in which a value is shown.
#[derive(Clone, Copy)]
pub(crate) enum ColumnForm {
    /// Name of the item, with a link to its page.
    Name,
    /// Name of the item, with a link, and a second line.
    NameWith(&'static str),
    /// Text.
    Text,
    /// Identifier.
    Id,
    /// Date.
    Date,
    /// Date and time of day.
    Time,
    /// Distance from now in words; "never" if there is none.
    Since,
    /// Date of an end, with a warning once it is near; "never" if there is none.
    Expiry,
    /// Whole number.
    Number,
    /// Amount in US cents.
    Cents,
    /// Number of items of a list.
    Count,
    /// Items of a list.
    Tags,
    /// Word with a meaning.
    Badge(&'static [(&'static str, &'static str, &'static str)]),
    /// Yes or no.
    Flag(&'static str, &'static str),
    /// Any other form.
    Computed(fn(&Json) -> Cell),
}

/// Returns a column.
pub(crate) const fn column(label: &'static str, pointer: &'static str, form: ColumnForm) -> Column {
    Column {
        label,
        pointer,
        form,
    }
}

impl Column {
    /// True if the values are numbers, which stand at the right.
    pub(crate) fn is_number(&self) -> bool {
        matches!(
            self.form,
            ColumnForm::Number | ColumnForm::Cents | ColumnForm::Count
        )
    }
}

/// Returns the path below `/console` of a path of the API.
pub(crate) fn console_path(api_path: &str) -> String {
    let path = api_path.strip_prefix("/organization").unwrap_or(api_path);
    format!("/console{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_paths_are_the_nouns_of_api_paths() {
        for (api, console) in [
            (
                "/organization/projects/{project_id}",
                "/console/projects/{project_id}",
            ),
            (
                "/projects/{project_id}/roles",
                "/console/projects/{project_id}/roles",
            ),
            ("/organization/users", "/console/users"),
        ] {
            assert_eq!(console_path(api), console);
        }
    }
}
