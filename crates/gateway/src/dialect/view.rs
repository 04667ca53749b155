//! The view of a request that all checks share: what its body asks for, names and holds, at every depth.
//!
//! The body is read once. A member counts by its name wherever it stands, except within what is the client's own (JSON
//! schemas, arguments, metadata: [`meaning`]), for a model server looks nothing up that is named there.

use std::borrow::Cow;
use std::ops::Range;

use access::HostedTool;
use base::{Error, Result};

use super::files::{Files, Holder};
use super::json::{Quoted, Reader};
use super::meaning::{self, Meaning};
use super::mentions::Mentions;
use super::tools::{Asked, hosted};
use super::{Fields, names};

/// The most members of a body.
const MAX_MEMBERS: usize = 1_000;
/// The longest name of a model that a tool has, in bytes.
const MAX_MODEL_BYTES: usize = 256;
/// The most models that the tools of a request may have.
const MAX_MODELS: usize = 16;

/// The tools, names, text and files of a body.
#[derive(Default)]
pub(crate) struct View {
    pub(super) tools: Asked,
    /// The files and vector stores that it names.
    pub(crate) mentions: Mentions,
    /// The member that names what a model server keeps and nobody can tell the owner of: a container, a skill, a prompt, a
    /// conversation, a response.
    pub(crate) reference: Option<&'static str>,
    /// The models that its tools have.
    pub(crate) models: Vec<String>,
    /// The places of text.
    pub(super) texts: Vec<Range<usize>>,
    /// The places of files within the text.
    pub(super) files: Files,
    /// The number of parts of a form that are files.
    pub(super) file_parts: i64,
}

/// The reason to look into an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// An object that is looked into for what it holds.
    Plain,
    /// A tool, or an object that chooses one.
    Tool,
    /// An object that programs run in.
    Environment,
    /// An item of the `input` of a response.
    Item,
    /// The value of this member, whose `id` names something that a model server keeps.
    Holder(&'static str),
    /// A sound.
    Sound,
    /// An object that tells where a file is.
    Link,
    /// An object whose names are the client's own, but not what is in it.
    Variables,
}

/// The facts about an object that are known while it is read.
struct Object<'a> {
    role: Role,
    seen: u64,
    kind: Option<Cow<'a, str>>,
    is_unclear: bool,
    has_id: bool,
    has_role: bool,
    /// A string that is a file if the object's type says so.
    data: Option<Quoted<'a>>,
}

/// A body that is being read.
pub(super) struct Walk<'a, 'f> {
    reader: Reader<'a>,
    fields: &'f mut Fields<'a>,
}

impl<'a, 'f> Walk<'a, 'f> {
    /// Reads an object into `fields`.
    ///
    /// # Errors
    /// 400: it is not JSON, or could be read in two ways.
    pub(super) fn over(body: &'a [u8], fields: &'f mut Fields<'a>) -> Result<()> {
        let reader = Reader::of_object(body)?;
        let mut walk = Walk { reader, fields };
        walk.body(body)?;
        walk.reader.end()?;
        walk.fields.view.files.sort();
        Ok(())
    }

    /// The members of the body itself.
    fn body(&mut self, body: &'a [u8]) -> Result<()> {
        let (mut object, mut is_first, mut members) = (Object::of(Role::Plain), true, 0);
        self.reader.open()?;
        while self.reader.next(b'}', &mut is_first)? {
            let name = self.reader.name()?.meant();
            members += 1;
            if members > MAX_MEMBERS {
                let message = format!("The request body has more than {MAX_MEMBERS} members.");
                return Err(Error::refused("invalid_json", message));
            }
            meaning::check_routing(&name)?;
            let index = names::find(&name, self.fields.names())?;
            let meaning = object.meaning(&name)?;
            self.reader.peek();
            let start = self.reader.at();
            self.outermost(&name, meaning, &mut object)?;
            let place = start..self.reader.at();
            let value = &body[place.clone()];
            if meaning::is_text(&name, value) {
                self.fields.view.texts.push(place);
            }
            if let Some(index) = index {
                self.fields.set_at(index, value)?;
            }
        }
        self.ended(&object);
        Ok(())
    }

    /// A member of the body itself.
    fn outermost(&mut self, name: &str, meaning: Meaning, object: &mut Object<'a>) -> Result<()> {
        if let Some(tool) = meaning::search(name) {
            if !matches!(self.reader.peek(), Some(b'n' | b'f')) {
                self.ask(tool);
            }
        } else if name == "input" && self.reader.peek() == Some(b'[') {
            return self.list(Role::Item);
        } else if self.fields.is_opaque(name) {
            return self.reader.skip();
        }
        self.member(meaning, object)
    }

    fn object(&mut self, role: Role) -> Result<()> {
        let (mut object, mut is_first) = (Object::of(role), true);
        self.reader.open()?;
        while self.reader.next(b'}', &mut is_first)? {
            let name = self.reader.name()?;
            if role == Role::Variables {
                self.value(Role::Plain)?;
                continue;
            }
            let meaning = object.meaning(&name.meant())?;
            self.member(meaning, &mut object)?;
        }
        self.ended(&object);
        Ok(())
    }

    /// The value of a member that means this.
    fn member(&mut self, meaning: Meaning, object: &mut Object<'a>) -> Result<()> {
        let next = self.reader.peek();
        let is_text = next == Some(b'"');
        match meaning {
            Meaning::Own => self.reader.skip(),
            Meaning::Kind if is_text => {
                object.kind = Some(self.reader.string()?.meant());
                Ok(())
            }
            Meaning::Kind => {
                object.is_unclear = next != Some(b'n');
                self.value(Role::Plain)
            }
            Meaning::Tools => self.tools(next),
            Meaning::Choice => self.value(Role::Tool),
            Meaning::Model if object.role == Role::Tool => self.model(is_text),
            Meaning::Mention(name, kind) => self.mention(name, kind),
            Meaning::Reference(name) => match next {
                Some(b'"' | b'n') => self.reference(name, is_text),
                _ => Err(must_be(name, "a string")),
            },
            Meaning::Holder("conversation") if is_text => self.reference("conversation", true),
            Meaning::Holder(name) => self.value(Role::Holder(name)),
            Meaning::Container => match next {
                Some(b'{') => self.object(Role::Environment),
                Some(b'"' | b'n') => self.reference("container", is_text),
                _ => Err(must_be("container", "a string or an object")),
            },
            Meaning::Environment => self.value(Role::Environment),
            Meaning::Variables => self.value(Role::Variables),
            Meaning::Id => {
                object.has_id = next != Some(b'n');
                self.value(Role::Plain)
            }
            Meaning::Author => {
                object.has_role = next != Some(b'n');
                self.value(Role::Plain)
            }
            Meaning::Sound => self.value(Role::Sound),
            Meaning::File if is_text => self.file_at(Holder::Link),
            Meaning::File => self.value(Role::Link),
            Meaning::Address if is_text && object.role == Role::Link => self.file_at(Holder::Link),
            Meaning::Content if is_text => self.file_at(Holder::Content),
            Meaning::Data if is_text => {
                object.data = Some(self.reader.string()?);
                Ok(())
            }
            Meaning::Plain
            | Meaning::Model
            | Meaning::Address
            | Meaning::Content
            | Meaning::Data => self.value(Role::Plain),
        }
    }

    /// A value: objects in it, or in lists in it, have this role.
    fn value(&mut self, role: Role) -> Result<()> {
        match self.reader.peek() {
            Some(b'{') => self.object(role),
            Some(b'[') => self.list(role),
            _ => self.reader.skip(),
        }
    }

    fn list(&mut self, role: Role) -> Result<()> {
        let mut is_first = true;
        self.reader.open()?;
        while self.reader.next(b']', &mut is_first)? {
            self.value(role)?;
        }
        Ok(())
    }

    /// A list of tools. What is none could be taken for one.
    fn tools(&mut self, next: Option<u8>) -> Result<()> {
        if next != Some(b'[') {
            self.fields.view.tools.is_unclear |= next != Some(b'n');
            return self.value(Role::Tool);
        }
        let mut is_first = true;
        self.reader.open()?;
        while self.reader.next(b']', &mut is_first)? {
            self.fields.view.tools.is_unclear |= self.reader.peek() != Some(b'{');
            self.value(Role::Tool)?;
        }
        Ok(())
    }

    /// The model of a tool.
    fn model(&mut self, is_text: bool) -> Result<()> {
        if !is_text {
            return match self.reader.peek() {
                Some(b'n') => self.reader.skip(),
                _ => Err(must_be("model", "a string")),
            };
        }
        let model = self.reader.string()?.meant();
        if model.len() > MAX_MODEL_BYTES {
            let what = format!("a name of at most {MAX_MODEL_BYTES} bytes");
            return Err(must_be("model", &what));
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

    /// The id of a file or a vector store, or a list of them.
    fn mention(&mut self, name: &'static str, kind: crate::object_kind::ObjectKind) -> Result<()> {
        let is_list = name.ends_with('s');
        match self.reader.peek() {
            Some(b'n') => self.reader.skip(),
            Some(b'"') if !is_list => {
                let id = self.reader.string()?.meant();
                self.fields.view.mentions.add(kind, &id);
                self.fields.view.files.add_elsewhere();
                Ok(())
            }
            Some(b'[') if is_list => {
                let mut is_first = true;
                self.reader.open()?;
                while self.reader.next(b']', &mut is_first)? {
                    if self.reader.peek() != Some(b'"') {
                        return Err(must_be(name, "a list of strings"));
                    }
                    let id = self.reader.string()?.meant();
                    self.fields.view.mentions.add(kind, &id);
                }
                Ok(())
            }
            _ if is_list => Err(must_be(name, "a list of strings")),
            _ => Err(must_be(name, "a string")),
        }
    }

    /// Skips a value, and takes note of it if it names something of a model server.
    fn reference(&mut self, name: &'static str, is_named: bool) -> Result<()> {
        if is_named {
            self.refer(name);
        }
        self.reader.skip()
    }

    fn refer(&mut self, name: &'static str) {
        self.fields.view.reference.get_or_insert(name);
    }

    fn ask(&mut self, tool: HostedTool) {
        self.fields.view.tools.add(tool);
    }

    /// A string that is a file, or tells where one is.
    fn file_at(&mut self, holder: Holder) -> Result<()> {
        let text = self.reader.string()?;
        self.file(text, holder);
        Ok(())
    }

    fn file(&mut self, text: Quoted<'a>, holder: Holder) {
        let place = self.fields.place(text.inside());
        let files = &mut self.fields.view.files;
        files.look_at(text.inside(), place.start, holder);
    }

    /// Notes the meaning of a whole object, at its end.
    fn ended(&mut self, object: &Object<'a>) {
        let role = object.role;
        let kind = object.kind.as_deref().unwrap_or_default();
        match role {
            Role::Tool => {
                self.fields.view.tools.is_unclear |= object.is_unclear;
                if let Some(tool) = hosted(kind) {
                    self.ask(tool);
                }
            }
            Role::Environment if is_container(kind) => {
                self.ask(HostedTool::CodeInterpreter);
            }
            Role::Holder(name) if object.has_id => {
                self.refer(name);
                self.fields.view.tools.has_prompt |= name == "prompt";
            }
            Role::Item if object.has_id && kind.is_empty() && !object.has_role => {
                self.refer("input");
            }
            _ => {}
        }
        if object.has_id && kind.eq_ignore_ascii_case("item_reference") {
            self.refer("input");
        }
        let is_data = role == Role::Sound || matches!(kind, "base64" | "image_generation_call");
        if let Some(data) = object.data.filter(|_| is_data) {
            self.file(data, Holder::Data);
        }
    }
}

impl Object<'_> {
    fn of(role: Role) -> Self {
        Self {
            role,
            seen: 0,
            kind: None,
            is_unclear: false,
            has_id: false,
            has_role: false,
            data: None,
        }
    }

    /// Returns the meaning of a member, by its name.
    ///
    /// # Errors
    /// 400: it is given twice, or is spelt so that not all servers read it alike.
    fn meaning(&mut self, name: &str) -> Result<Meaning> {
        let Some(index) = names::find(name, &meaning::NAMES)? else {
            return Ok(meaning::of_other(name));
        };
        let bit = 1 << index;
        if self.seen & bit != 0 {
            return Err(names::twice(name));
        }
        self.seen |= bit;
        Ok(meaning::MEANINGS[index])
    }
}

/// True for environments of the provider, whatever their case.
fn is_container(kind: &str) -> bool {
    const CONTAINER: &str = "container";
    let begin = kind.get(..CONTAINER.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(CONTAINER))
}

fn must_be(name: &'static str, what: &str) -> Error {
    Error::invalid(name, format!("{name} must be {what}."))
}
