//! Pages of forms: creation, modification, settings, and other changes.

use askama::Template;
use axum::body::Body;
use http::{Method, Response, StatusCode};
use pages::{Crumb, FormData, Link, Notice};
use serde_json::{Value as Json, json};

use crate::cell::text_of;
use crate::client::Refusal;
use crate::command::command_line;
use crate::context::{Change, Context, Outcome, with_status};
use crate::delete::{Affected, affected};
use crate::detail::{item_of, trail};
use crate::form::{Form, FormPart, ROWS_BUTTON, VISITOR, body_of, names_field, pairs_of, render};
use crate::registry::KnownOperation;
use crate::resource::{Action, Extra, Resource, console_path};
use crate::sample;
use crate::screens::limits_now;
use crate::table::Button;

/// Pointer to a secret that is a link, not a key.
const LINK_POINTER: &str = "/url";
/// Path of the invitations.
const INVITES: &str = "/organization/invites";
/// Path of the operation that makes a link to hand over.
const INVITE_LINK: &str = "/organization/invites/{invite_id}/link";
/// State of the form for an invitation on a server that sends no mail.
const NO_MAIL: &str =
    "No mail server is configured, so no mail is sent. You get a link to hand over yourself.";

#[derive(Template)]
#[template(path = "edit.html")]
struct EditPage<'a> {
    title: &'a str,
    about: &'a str,
    path: &'a str,
    verb: &'a str,
    is_danger: bool,
    is_wide: bool,
    main: Vec<FormPart>,
    more: Vec<FormPart>,
    is_more_open: bool,
    failure: Option<Notice>,
    missing: &'a str,
    cancel: String,
    command: String,
    state: String,
    extra: String,
    buttons: Vec<Button>,
    consequences: &'a [&'a str],
    affected: Vec<Affected>,
}

#[derive(Template)]
#[template(path = "secret.html")]
struct SecretPage<'a> {
    secret: &'a str,
    is_link: bool,
    name: String,
    sample: String,
    done: String,
}

/// A form with what surrounds it.
struct FormPage<'a> {
    resource: &'static Resource,
    known: &'a KnownOperation,
    form: Form,
    title: String,
    about: &'static str,
    verb: &'static str,
    is_danger: bool,
    consequences: &'static [&'static str],
    affects: &'static [(&'static str, &'static str)],
    secret: &'static str,
    change: Change,
    cancel: String,
    /// Target after the change; empty for the page of the new item.
    done: String,
    /// Present item, or setting.
    item: Option<Json>,
    /// Sentence about the present state.
    state: String,
    buttons: Vec<Button>,
}

/// Answers the page that creates an item.
pub(crate) async fn create(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    let known = operation(context, &Method::POST, resource.path)?;
    check_parent(context, resource, known).await?;
    let list = console_path(&context.fill(resource.path, &[]));
    let page = FormPage {
        resource,
        form: Form::of(known, false),
        known,
        title: format!("{} {}", resource.create_verb, resource.singular),
        about: resource.about,
        verb: resource.create_verb,
        is_danger: false,
        consequences: &[],
        affects: &[],
        secret: resource.secret,
        change: Change::Created,
        cancel: list.clone(),
        done: list,
        item: None,
        state: if is_handed_over(context, resource) {
            NO_MAIL.to_owned()
        } else {
            String::new()
        },
        buttons: Vec::new(),
    };
    page.answer(context).await
}

/// Checks that the thing whose collection the page changes exists. A visitor who may not read the collection can
/// change it, if that is allowed.
///
/// # Errors
/// 404 if there is no such thing; 403 if the visitor may neither read nor change it.
async fn check_parent(
    context: &Context<'_>,
    resource: &Resource,
    known: &KnownOperation,
) -> Result<(), Refusal> {
    let mut parameters = resource
        .path
        .split('/')
        .filter(|part| part.starts_with('{'));
    // The project of a page is checked for every page.
    if !parameters.any(|parameter| parameter != "{project_id}") {
        return Ok(());
    }
    let path = context.fill(resource.path, &[]);
    match context.get(&path, &[("limit", "1")]).await {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Err(refusal),
        Err(refusal) if context.rights.missing(&known.operation).is_some() => Err(refusal),
        _ => Ok(()),
    }
}

/// True if a new item of a resource is a link that the visitor hands over, since the server sends no mail.
fn is_handed_over(context: &Context<'_>, resource: &Resource) -> bool {
    resource.path == INVITES && !context.console.options.sends_mail
}

/// Answers the page that modifies an item.
pub(crate) async fn update(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    let known = operation(context, &Method::POST, resource.item)?;
    let item = item_of(context, resource).await?;
    let has_page = context.operation(&Method::GET, resource.item).is_some();
    let back = if has_page {
        resource.item
    } else {
        resource.path
    };
    let back = console_path(&context.fill(back, &[]));
    let page = FormPage {
        resource,
        form: Form::of(known, true),
        known,
        title: format!("Edit {}", resource.name_of(&item)),
        about: "",
        verb: "Save",
        is_danger: false,
        consequences: &[],
        affects: &[],
        secret: "",
        change: Change::Saved,
        cancel: back.clone(),
        done: back,
        item: Some(item),
        state: String::new(),
        buttons: Vec::new(),
    };
    page.answer(context).await
}

/// Answers the page of a setting, which shows and changes it.
pub(crate) async fn setting(context: &Context<'_>, resource: &'static Resource) -> Outcome {
    let known = operation(context, &Method::POST, resource.path)?;
    let item = match item_of(context, resource).await {
        Ok(item) => Some(item),
        Err(refusal) if refusal.code.as_deref() == Some("not_found") => None,
        Err(refusal) => return Err(refusal),
    };
    let can_unset = context.operation(&Method::DELETE, resource.path).is_some();
    let here = console_path(&context.fill(resource.path, &[]));
    let mut buttons = Vec::new();
    if can_unset && item.is_some() {
        let target = format!("{here}/delete");
        let delete = Button::new(
            context,
            &Method::DELETE,
            resource.path,
            resource.delete_verb,
            target,
        );
        buttons.push(delete.class("danger"));
    }
    let page = FormPage {
        resource,
        form: Form::of(known, item.is_some() && !can_unset),
        known,
        title: resource.title.to_owned(),
        about: resource.about,
        verb: "Save",
        is_danger: false,
        consequences: &[],
        affects: &[],
        secret: "",
        change: Change::Saved,
        cancel: String::new(),
        done: here,
        state: match &item {
            Some(_) => String::new(),
            None => resource.empty.to_owned(),
        },
        item,
        buttons,
    };
    page.answer(context).await
}

/// Answers the page of another change.
pub(crate) async fn action(
    context: &Context<'_>,
    resource: &'static Resource,
    action: &'static Action,
) -> Outcome {
    let known = operation(context, &action.method(), action.path)?;
    let is_in_item = action.is_of_item && action.id_field.is_empty();
    let item = if is_in_item {
        Some(item_of(context, resource).await?)
    } else {
        check_parent(context, resource, known).await?;
        None
    };
    let title = match &item {
        Some(item) if action.verb.starts_with("New") => {
            format!("{} for {}", action.verb, resource.name_of(item))
        }
        Some(item) => format!("{} {}", action.verb, resource.name_of(item)),
        None => format!("{} {}", action.verb, resource.title.to_lowercase()),
    };
    let list = console_path(&context.fill(resource.path, &[]));
    let page = FormPage {
        resource,
        form: Form::of(known, false),
        known,
        title,
        about: action.about,
        verb: action.verb,
        is_danger: action.is_danger,
        consequences: action.consequences,
        affects: action.affects,
        secret: action.secret,
        change: Change::Done,
        cancel: list.clone(),
        done: list,
        item: None,
        state: String::new(),
        buttons: Vec::new(),
    };
    page.answer(context).await
}

/// Returns the operation at a path template.
fn operation<'a>(
    context: &'a Context<'_>,
    method: &Method,
    path: &'static str,
) -> Result<&'a KnownOperation, Refusal> {
    let known = context.operation(method, path);
    known.ok_or_else(|| Refusal::not_found("page", &context.path))
}

impl FormPage<'_> {
    async fn answer(self, context: &Context<'_>) -> Outcome {
        if self.resource.is_sensitive && !context.has_signed_in_lately() {
            return Ok(context.sign_in_again());
        }
        let before = pairs_of(&self.form, self.item.as_ref());
        if context.method != Method::POST {
            let values = preset(context, &self.form, before);
            return Ok(self.show(context, &values, None).await);
        }
        if context.form.has(ROWS_BUTTON) {
            return Ok(self.show(context, &context.form, None).await);
        }
        let body = body_of(&self.form, &context.form, &before);
        if self.form.is_update && body.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(context.changed(&Link::to_path(self.done), Change::Unchanged));
        }
        let path = context.fill(self.known.operation.path, &[]);
        let method = &self.known.operation.method;
        let body = Some(&body).filter(|_| *method != Method::DELETE);
        match context.client().send(method, &path, body).await {
            Ok(answer) => Ok(match self.link_to_hand_over(context, &answer).await {
                Some(link) => self.secret_page(context, &link, LINK_POINTER),
                None => self.done(context, &answer),
            }),
            Err(refusal) if is_about_form(&refusal) => {
                let page = self.show(context, &context.form, Some(&refusal));
                Ok(page.await)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Returns the answer with the link of a new invitation, if the server sends no mail.
    async fn link_to_hand_over(&self, context: &Context<'_>, answer: &Json) -> Option<Json> {
        if self.change != Change::Created || !is_handed_over(context, self.resource) {
            return None;
        }
        let id = self.resource.id_of(answer);
        let path = context.fill(INVITE_LINK, &[&id]);
        let client = context.client();
        let body = json!({});
        let link = client.send(&Method::POST, &path, Some(&body));
        link.await.ok()
    }

    /// Shows the secret in an answer.
    fn secret_page(
        &self,
        context: &Context<'_>,
        answer: &Json,
        pointer: &'static str,
    ) -> Response<Body> {
        let secret = answer.pointer(pointer).map(text_of).unwrap_or_default();
        let page = SecretPage {
            is_link: pointer == LINK_POINTER,
            name: self.resource.name_of(answer),
            sample: if secret.starts_with("sk-admin") {
                sample::first_read(context, &secret)
            } else {
                sample::first_request(context, Some(&secret))
            },
            secret: &secret,
            done: self.done.clone(),
        };
        let trail = trail(context, self.resource);
        context.page(&self.title, &trail, &page).into_response()
    }

    /// Shows the secret of a new item, or redirects to what was changed.
    fn done(&self, context: &Context<'_>, answer: &Json) -> Response<Body> {
        if !self.secret.is_empty() && answer.pointer(self.secret).is_some_and(Json::is_string) {
            return self.secret_page(context, answer, self.secret);
        }
        let id = self.resource.id_of(answer);
        let has_page = context
            .operation(&Method::GET, self.resource.item)
            .is_some();
        let is_new = self.change == Change::Created && has_page && !id.is_empty();
        let target = if is_new {
            console_path(&context.fill(self.resource.item, &[&id]))
        } else {
            self.done.clone()
        };
        context.changed(&Link::to_path(target), self.change)
    }

    async fn show(
        &self,
        context: &Context<'_>,
        values: &FormData,
        refusal: Option<&Refusal>,
    ) -> Response<Body> {
        let parts = render(context, &self.form, values, refusal).await;
        let before = pairs_of(&self.form, self.item.as_ref());
        let body = body_of(&self.form, values, &before);
        let missing = context.rights.missing(&self.known.operation);
        let unnamed = refusal.filter(|refusal| !names_field(&self.form, refusal));
        let page = EditPage {
            title: &self.title,
            about: self.about,
            path: &context.path,
            verb: self.verb,
            is_danger: self.is_danger,
            is_wide: parts
                .main
                .iter()
                .any(|part| matches!(part, FormPart::Permissions(_))),
            main: parts.main,
            more: parts.more,
            is_more_open: parts.is_more_open,
            failure: match (unnamed, refusal) {
                (Some(refusal), _) => Some(Notice::failure(refusal.message.clone())),
                (None, Some(_)) => Some(Notice::failure("A field below needs your attention.")),
                (None, None) => None,
            },
            missing: missing.unwrap_or_default(),
            cancel: self.cancel.clone(),
            command: command_line(context, self.known, &body),
            state: self.state.clone(),
            extra: match self.resource.extra {
                Extra::SpendNow => limits_now::spend_section(context).await,
                _ => String::new(),
            },
            buttons: self.buttons.clone(),
            consequences: self.consequences,
            affected: affected(context, self.affects).await,
        };
        let trail: Vec<Crumb> = if self.resource.is_setting() {
            context.trail()
        } else {
            trail(context, self.resource)
        };
        let status = match refusal {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::OK,
        };
        with_status(context.page(&self.title, &trail, &page), status)
    }
}

/// Returns the pairs of a new form with those that the query of the page names, and the visitor where that is the default.
fn preset(context: &Context<'_>, form: &Form, pairs: FormData) -> FormData {
    let query = &context.query;
    form.fields.iter().fold(pairs, |pairs, field| {
        let name = &*field.name;
        if query.has(name) {
            pairs.with(name, query.get(name))
        } else if pairs.get(name) == Some(VISITOR) {
            pairs.with(name, Some(&context.visitor.user_id))
        } else {
            pairs
        }
    })
}

/// True if a refusal is about the values of the form or the state of the item, so that the form can be sent again.
fn is_about_form(refusal: &Refusal) -> bool {
    refusal.status == StatusCode::BAD_REQUEST || refusal.status == StatusCode::CONFLICT
}
