//! An object of a request while it is being read.

use std::borrow::Cow;

use base::Result;

use super::members::{self, Member, MemberKind};
use super::object_refs::RefPlace;
use super::strict_json::JsonString;

/// The role of an object in a request.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ObjectRole {
    #[default]
    Plain,
    /// A tool, or an object that chooses one.
    Tool,
    /// The container that programs run in.
    Environment,
    /// An item of the `input` of a response, or of the `items` of a conversation.
    InputItem,
    /// The conversation that a request continues.
    Conversation,
    /// The value of this member, whose `id` names an object that a model server stores.
    Unowned(&'static str),
    Audio,
    /// The options of a web search.
    SearchOptions,
    /// An object with the URL of a file.
    FileUrl,
    /// An object whose names are the client's own, but whose values are read.
    Variables,
}

/// An object that is being read.
#[derive(Default)]
pub(super) struct ObjectState<'a> {
    pub(super) role: ObjectRole,
    /// True if the body is in Anthropic's format.
    pub(super) is_message: bool,
    /// A bit for each of [`MemberKind::NAMED`], then [`MemberKind::NAMED_IN_MESSAGES`], that the object has.
    seen: u64,
    pub(super) object_type: Option<Cow<'a, str>>,
    pub(super) has_invalid_type: bool,
    /// True if there is an `id` other than null.
    pub(super) has_id: bool,
    /// The `id`, if it is a string.
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) has_role: bool,
    /// The size of the context of a web search, if it is a string.
    pub(super) context_level: Option<Cow<'a, str>>,
    /// The memory of a container, if it is a string.
    pub(super) container_memory: Option<Cow<'a, str>>,
    pub(super) encrypted_content: ItemContent,
    pub(super) tool_result: ItemContent,
    /// A string that is a file in objects of some types.
    pub(super) data: Option<JsonString<'a>>,
}

/// The presence of a member that holds the content of an item.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ItemContent {
    #[default]
    Absent,
    Present,
    /// Given at least once as something else than a text.
    Empty,
}

impl ItemContent {
    /// Adds an occurrence. A server could read any of several ones.
    pub(super) fn add(&mut self, is_text: bool) {
        *self = match (*self, is_text) {
            (Self::Absent | Self::Present, true) => Self::Present,
            _ => Self::Empty,
        };
    }
}

impl ObjectState<'_> {
    pub(super) fn new(role: ObjectRole, is_message: bool) -> Self {
        Self {
            role,
            is_message,
            ..Self::default()
        }
    }

    /// Returns the place of the object if its `id` stands for an item that a model server stores: a reference, or an item of
    /// an earlier answer without the content that only the model server has. Some servers ignore the case of a type.
    pub(super) fn item_place(&self, object_type: &str) -> Option<RefPlace> {
        let is_type = |name: &str| object_type.eq_ignore_ascii_case(name);
        let is_input = self.role == ObjectRole::InputItem;
        let is_untyped = is_input && object_type.is_empty() && !self.has_role;
        if is_untyped || is_type("item_reference") {
            return Some(RefPlace::Ordinary);
        }
        let is_bare = is_type("reasoning") && self.encrypted_content != ItemContent::Present
            || is_type("image_generation_call") && self.tool_result != ItemContent::Present;
        is_bare.then_some(RefPlace::BareItem)
    }

    /// Returns the meaning of a member, by its name, with the name if it is one of [`MemberKind::NAMED`].
    ///
    /// # Errors
    /// 400: the member is given twice, or is spelt so that only some servers know it.
    pub(super) fn member(&mut self, name: &str) -> Result<Member> {
        let more = match self.is_message {
            true => &MemberKind::NAMED_IN_MESSAGES[..],
            false => &[],
        };
        let all = || MemberKind::NAMED.iter().chain(more);
        let Some(index) = members::find(name, all().map(|(name, _)| name))? else {
            return Ok(("", members::other(name)));
        };
        let bit = 1 << index;
        if self.seen & bit != 0 {
            return Err(members::duplicate(name));
        }
        self.seen |= bit;
        Ok(*all().nth(index).expect("an index of one of them"))
    }
}
