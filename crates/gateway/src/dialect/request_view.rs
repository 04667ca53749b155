//! The view of a request that all checks share: the tools, names, text and files in its body, at every depth.
//!
//! The body is read once. A member counts by its name at every depth, except within opaque members ([`MemberKind::Opaque`]).

use std::ops::Range;

use access::HostedTool;
use base::{Error, Result};

use super::Fields;
use super::input_text::{FileMember, InlineFiles};
use super::members::{self, Member, MemberKind};
use super::object_refs::{ObjectRefs, RefPlace, must_be};
use super::object_state::{ObjectRole, ObjectState};
use super::requested_tools::{
    RequestedTools, hosted_tool, hosted_tool_of_messages, is_client_tool_of_messages,
};
use super::strict_json::{JsonReader, JsonString};
use crate::object_kind::ObjectKind;

/// The most top-level members of a body.
const MAX_MEMBERS: usize = 1_000;
/// The longest name of a tool's model.
const MAX_MODEL_BYTES: usize = 256;
/// The most models that the tools of a request may name.
const MAX_MODELS: usize = 16;

/// The tools, names, text and files of a body.
#[derive(Default)]
pub(crate) struct RequestView {
    pub(super) tools: RequestedTools,
    /// The objects that are named.
    pub(crate) object_refs: ObjectRefs,
    /// The first member that names an object at a model server whose owner cannot be known, like a stored prompt.
    pub(crate) unowned_ref: Option<&'static str>,
    /// The models that tools name.
    pub(crate) models: Vec<String>,
    /// The ranges of text.
    pub(super) text: Vec<Range<usize>>,
    /// The files within the text.
    pub(super) files: InlineFiles,
    /// The number of files in a form.
    pub(super) file_parts: i64,
}

/// A reader of a body into its fields and their view.
pub(super) struct ViewReader<'a, 'f> {
    json: JsonReader<'a>,
    fields: &'f mut Fields<'a>,
    /// True within the choice of a tool.
    is_in_choice: bool,
}

impl<'a, 'f> ViewReader<'a, 'f> {
    /// Reads an object into `fields`.
    ///
    /// # Errors
    /// 400: the body is not JSON, or ambiguous.
    pub(super) fn read(body: &'a [u8], fields: &'f mut Fields<'a>) -> Result<()> {
        let json = JsonReader::of_object(body)?;
        fields.view.tools.is_message = fields.is_message;
        let mut reader = ViewReader {
            json,
            fields,
            is_in_choice: false,
        };
        reader.body(body)?;
        reader.json.end()?;
        reader.fields.view.files.sort();
        Ok(())
    }

    /// Reads the top-level members.
    fn body(&mut self, body: &'a [u8]) -> Result<()> {
        let mut object = ObjectState::new(ObjectRole::Plain, self.fields.is_message);
        let mut count = 0;
        self.json.open()?;
        while self.json.next(b'}')? {
            let name = self.json.name()?.decoded();
            count += 1;
            if count > MAX_MEMBERS {
                let message = format!("The request body has more than {MAX_MEMBERS} members.");
                return Err(Error::refused("invalid_json", message));
            }
            members::check_routing(&name)?;
            let index = members::find(&name, self.fields.names)?;
            let member = object.member(&name)?;
            self.json.peek();
            let start = self.json.position();
            self.top_level(&name, member, &mut object)?;
            let range = start..self.json.position();
            let value = &body[range.clone()];
            if members::is_text(&name, value) {
                self.fields.view.text.push(range);
            }
            if let Some(index) = index {
                self.fields.set_at(index, value)?;
            }
        }
        self.finish(&object)
    }

    /// Reads the value of a top-level member.
    fn top_level(
        &mut self,
        name: &str,
        member: Member,
        object: &mut ObjectState<'a>,
    ) -> Result<()> {
        if let Some(tool) = members::enabled_tool(name) {
            if !matches!(self.json.peek(), Some(b'n' | b'f')) {
                self.fields.view.tools.add(tool);
            }
            if name == "web_search_options" {
                return self.value(ObjectRole::SearchOptions);
            }
        } else if self.has_items(name) && self.json.peek() == Some(b'[') {
            return self.list(ObjectRole::InputItem);
        } else if self.fields.opaque == Some(name) {
            return self.json.skip();
        }
        self.member(member, object)
    }

    /// True if a top-level member has items: the input of a response, or the items of a conversation.
    fn has_items(&self, name: &str) -> bool {
        name == "input" || name == "items" && self.fields.names.contains(&name)
    }

    fn object(&mut self, role: ObjectRole) -> Result<()> {
        let mut object = ObjectState::new(role, self.fields.is_message);
        self.json.open()?;
        while self.json.next(b'}')? {
            let name = self.json.name()?;
            if role == ObjectRole::Variables {
                self.value(ObjectRole::Plain)?;
                continue;
            }
            let member = object.member(&name.decoded())?;
            self.member(member, &mut object)?;
        }
        self.finish(&object)
    }

    /// Reads the value of a member with this meaning.
    fn member(&mut self, (name, kind): Member, object: &mut ObjectState<'a>) -> Result<()> {
        let next = self.json.peek();
        let is_string = next == Some(b'"');
        match kind {
            MemberKind::Opaque => self.json.skip(),
            MemberKind::Type if is_string => {
                object.object_type = Some(self.json.string()?.decoded());
                Ok(())
            }
            MemberKind::Type => {
                object.has_invalid_type = next != Some(b'n');
                self.value(ObjectRole::Plain)
            }
            MemberKind::Tools => self.tools(next),
            MemberKind::Tool => {
                let is_in_choice = self.is_in_choice;
                self.is_in_choice |= name == "tool_choice";
                self.value(ObjectRole::Tool)?;
                self.is_in_choice = is_in_choice;
                Ok(())
            }
            MemberKind::ContextLevel if is_string => {
                object.context_level = Some(self.json.string()?.decoded());
                Ok(())
            }
            MemberKind::ContainerMemory if is_string => {
                object.container_memory = Some(self.json.string()?.decoded());
                Ok(())
            }
            MemberKind::Model if object.role == ObjectRole::Tool => self.model(is_string),
            MemberKind::Source if next == Some(b'{') => self.object(ObjectRole::FileUrl),
            MemberKind::Variables => self.value(ObjectRole::Variables),
            MemberKind::Id if is_string && object.role == ObjectRole::Environment => {
                self.object_refs(name, ObjectKind::Container)
            }
            MemberKind::Id => {
                object.has_id = next != Some(b'n');
                if is_string {
                    object.id = Some(self.json.string()?.decoded());
                    return Ok(());
                }
                self.value(ObjectRole::Plain)
            }
            MemberKind::Role => {
                object.has_role = next != Some(b'n');
                self.value(ObjectRole::Plain)
            }
            MemberKind::Plain | MemberKind::Model => self.value(ObjectRole::Plain),
            kind => self.reference((name, kind), object),
        }
    }

    /// Reads the value of a member that may name what a model server stores, or that [`Self::content`] reads.
    fn reference(&mut self, (name, kind): Member, object: &mut ObjectState<'a>) -> Result<()> {
        let next = self.json.peek();
        let is_string = next == Some(b'"');
        match kind {
            MemberKind::ObjectRef(kind) => self.object_refs(name, kind),
            MemberKind::ComparedResponse => match next {
                Some(b'"') => self.object_ref(ObjectKind::Response, RefPlace::Comparison),
                Some(b'n') => self.json.skip(),
                _ => Err(must_be(name, "a string")),
            },
            MemberKind::Conversation => match next {
                Some(b'"') => self.object_ref(ObjectKind::Conversation, RefPlace::Ordinary),
                Some(b'{') => self.object(ObjectRole::Conversation),
                Some(b'n') => self.json.skip(),
                _ => Err(must_be(name, "a string or an object")),
            },
            MemberKind::UnownedRef => match next {
                Some(b'"' | b'n') => self.unowned(name, is_string),
                _ => Err(must_be(name, "a string")),
            },
            MemberKind::UnownedObject => self.value(ObjectRole::Unowned(name)),
            MemberKind::Container => match next {
                Some(b'{') => self.object(ObjectRole::Environment),
                Some(b'"' | b'n') => self.object_refs(name, ObjectKind::Container),
                _ => Err(must_be(name, "a string or an object")),
            },
            MemberKind::Environment => self.value(ObjectRole::Environment),
            MemberKind::Thread => self.unowned(name, next != Some(b'n')),
            content => self.content(content, is_string, object),
        }
    }

    /// Reads the value of a member that may hold a file, or the content of an item.
    fn content(
        &mut self,
        kind: MemberKind,
        is_string: bool,
        object: &mut ObjectState<'a>,
    ) -> Result<()> {
        match kind {
            MemberKind::Audio => self.value(ObjectRole::Audio),
            MemberKind::FileUrl if is_string => self.file(FileMember::Url),
            MemberKind::FileUrl => self.value(ObjectRole::FileUrl),
            MemberKind::Url if is_string && object.role == ObjectRole::FileUrl => {
                self.file(FileMember::Url)
            }
            MemberKind::FileContent if is_string => self.file(FileMember::Content),
            MemberKind::Data if is_string => {
                object.data = Some(self.json.string()?);
                Ok(())
            }
            MemberKind::Data if self.fields.has_client_data => self.json.skip(),
            MemberKind::ToolResult if is_string => {
                let result = self.json.string()?;
                object.tool_result.add(!result.raw().is_empty());
                object.data = Some(result);
                Ok(())
            }
            MemberKind::ToolResult => {
                object.tool_result.add(false);
                self.value(ObjectRole::Plain)
            }
            MemberKind::EncryptedContent if is_string => {
                let content = self.json.string()?;
                object.encrypted_content.add(!content.raw().is_empty());
                Ok(())
            }
            MemberKind::EncryptedContent => {
                object.encrypted_content.add(false);
                self.value(ObjectRole::Plain)
            }
            _ => self.value(ObjectRole::Plain),
        }
    }

    /// Reads a value. Objects in it, also within lists, have this role.
    fn value(&mut self, role: ObjectRole) -> Result<()> {
        match self.json.peek() {
            Some(b'{') => self.object(role),
            Some(b'[') => self.list(role),
            _ => self.json.skip(),
        }
    }

    fn list(&mut self, role: ObjectRole) -> Result<()> {
        self.json.open()?;
        while self.json.next(b']')? {
            self.value(role)?;
        }
        Ok(())
    }

    /// Reads a list of tools. Anything else there is ambiguous, for a server could take it for a tool.
    fn tools(&mut self, next: Option<u8>) -> Result<()> {
        if next != Some(b'[') {
            self.fields.view.tools.is_ambiguous |= next != Some(b'n');
            return self.value(ObjectRole::Tool);
        }
        self.json.open()?;
        while self.json.next(b']')? {
            self.fields.view.tools.is_ambiguous |= self.json.peek() != Some(b'{');
            self.value(ObjectRole::Tool)?;
        }
        Ok(())
    }

    /// Reads the model of a tool.
    fn model(&mut self, is_string: bool) -> Result<()> {
        if !is_string {
            return match self.json.peek() {
                Some(b'n') => self.json.skip(),
                _ => Err(must_be("model", "a string")),
            };
        }
        let model = self.json.string()?.decoded();
        if model.len() > MAX_MODEL_BYTES {
            let expected = format!("a name of at most {MAX_MODEL_BYTES} bytes");
            return Err(must_be("model", &expected));
        }
        let models = &mut self.fields.view.models;
        if !models.iter().any(|known| *known == model) {
            models.push(model.into_owned());
        }
        if models.len() > MAX_MODELS {
            let message = format!("The tools of a request may have {MAX_MODELS} models.");
            return Err(Error::invalid("model", message));
        }
        Ok(())
    }

    /// Reads the id of a file, a vector store or a container, or a list of ids.
    fn object_refs(&mut self, name: &'static str, kind: ObjectKind) -> Result<()> {
        let is_list = name.ends_with('s');
        match self.json.peek() {
            Some(b'n') => self.json.skip(),
            Some(b'"') if !is_list => {
                self.object_ref(kind, RefPlace::Ordinary)?;
                if matches!(kind, ObjectKind::File | ObjectKind::VectorStore) {
                    self.fields.view.files.add_remote();
                }
                Ok(())
            }
            Some(b'[') if is_list => {
                self.json.open()?;
                while self.json.next(b']')? {
                    if self.json.peek() != Some(b'"') {
                        return Err(must_be(name, "a list of strings"));
                    }
                    self.object_ref(kind, RefPlace::Ordinary)?;
                }
                Ok(())
            }
            _ if is_list => Err(must_be(name, "a list of strings")),
            _ => Err(must_be(name, "a string")),
        }
    }

    /// Reads the id of an object.
    fn object_ref(&mut self, kind: ObjectKind, place: RefPlace) -> Result<()> {
        let id = self.json.string()?.decoded();
        self.fields.view.object_refs.add(kind, place, &id);
        Ok(())
    }

    /// Skips a value that names an unowned object if `is_named`.
    fn unowned(&mut self, name: &'static str, is_named: bool) -> Result<()> {
        if is_named {
            self.add_unowned(name);
        }
        self.json.skip()
    }

    fn add_unowned(&mut self, name: &'static str) {
        self.fields.view.unowned_ref.get_or_insert(name);
    }

    /// Reads a string that is a file, or the URL of one.
    fn file(&mut self, member: FileMember) -> Result<()> {
        self.json.string().map(|text| self.add_file(text, member))
    }

    fn add_file(&mut self, text: JsonString<'a>, member: FileMember) {
        let start = self.fields.range(text.raw()).start;
        let files = &mut self.fields.view.files;
        files.add_string(text.raw(), start, member);
    }

    /// Adds to the view what an object means as a whole.
    ///
    /// # Errors
    /// 400: the id of a stored object is no string.
    fn finish(&mut self, object: &ObjectState<'a>) -> Result<()> {
        let role = object.role;
        let object_type = object.object_type.as_deref().unwrap_or_default();
        match role {
            ObjectRole::Tool => {
                self.fields.view.tools.is_ambiguous |= object.has_invalid_type;
                let tool = match self.fields.is_message {
                    true => hosted_tool_of_messages(object_type),
                    false => hosted_tool(object_type),
                };
                if let Some(tool) = tool {
                    self.fields.view.tools.add(tool);
                    if tool == HostedTool::WebSearch && !self.is_in_choice {
                        let level = object.context_level.as_deref();
                        self.fields.view.tools.add_search(level);
                    }
                } else if self.fields.is_message && !is_client_tool_of_messages(object_type) {
                    self.fields.view.tools.add_unknown(object_type);
                }
            }
            ObjectRole::Environment if self.fields.is_message => {
                if object.has_id {
                    self.add_unowned("container");
                }
                self.fields.view.tools.add(HostedTool::CodeInterpreter);
            }
            ObjectRole::Environment => {
                // Containers of the provider. Some servers ignore the case of a type.
                if object_type.to_ascii_lowercase().starts_with("container") {
                    self.fields.view.tools.add(HostedTool::CodeInterpreter);
                }
                if let Some(memory) = &object.container_memory {
                    self.fields.view.tools.add_container(memory);
                }
            }
            ObjectRole::SearchOptions => {
                let level = object.context_level.as_deref();
                self.fields.view.tools.add_search(level);
            }
            ObjectRole::Unowned(name) if object.has_id => {
                self.add_unowned(name);
                self.fields.view.tools.has_prompt |= name == "prompt";
            }
            ObjectRole::Conversation => {
                self.stored_id(object, ObjectKind::Conversation, RefPlace::Ordinary)?;
            }
            _ => {}
        }
        if let Some(place) = object.item_place(object_type) {
            self.stored_id(object, ObjectKind::ResponseItem, place)?;
        }
        let is_file = matches!(object_type, "base64" | "image_generation_call");
        let is_file = is_file || role == ObjectRole::Audio;
        if let Some(data) = object.data.filter(|_| is_file) {
            self.add_file(data, FileMember::Base64);
        }
        Ok(())
    }

    /// Adds the id of an object that stands for one which a model server stores.
    fn stored_id(
        &mut self,
        object: &ObjectState<'a>,
        kind: ObjectKind,
        place: RefPlace,
    ) -> Result<()> {
        match &object.id {
            Some(id) => self.fields.view.object_refs.add(kind, place, id),
            None if object.has_id => return Err(must_be("id", "a string")),
            None => {}
        }
        Ok(())
    }
}
