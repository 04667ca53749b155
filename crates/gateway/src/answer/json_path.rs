//! The places of an answer's JSON that tell what was consumed.

use crate::dialect::Amount;

/// The place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The document.
    Root,
    /// The response that an event is about.
    Response,
    /// A line of the output of a batch, and what it has of an answer.
    Line,
    LineResponse,
    StatusCode,
    Usage,
    InputDetails,
    OutputDetails,
    Amount(Amount),
    Seconds,
    /// An object of a server's own that has usage, and that usage.
    Extra,
    OtherUsage,
    Error,
    /// The word that tells whose fault an error is.
    Blame,
    Choices,
    Choice,
    /// The reason for the end of a choice.
    Finish,
    /// A value in a choice; an empty one says nothing.
    Said,
    /// As [`Self::Said`], but none of it is generated text that counts.
    Aside,
    /// Generated text of a choice.
    Text,
    Output,
    Item,
    /// The item that an event is about.
    LoneItem,
    /// What an item is made of.
    Part,
    /// Generated text of an item.
    ItemText,
    Action,
    /// Generated text that an event adds.
    Delta,
    Data,
    Results,
    Duration,
    Word(Word),
    /// A member that has no known meaning.
    Unknown,
    /// A value that does not matter.
    Skipped,
}

/// A short text that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Kind,
    Object,
    Status,
    ServiceTier,
    Size,
    /// The type of an item, of its action, and the container that its program ran in.
    Item,
    Action,
    Container,
}

impl Place {
    /// Returns the place of the member `key` of an object that stands here.
    pub(crate) fn member(self, key: &[u8]) -> Self {
        match self {
            Self::Root => of_document(key),
            Self::Response => of_response(key),
            Self::Line if key == b"response" => Self::LineResponse,
            Self::LineResponse => match key {
                b"status_code" => Self::StatusCode,
                b"body" => Self::Root,
                _ => Self::Skipped,
            },
            Self::Usage | Self::OtherUsage => of_usage(key),
            Self::InputDetails => Amount::of_input(key).map_or(Self::Skipped, Self::Amount),
            Self::OutputDetails => Amount::of_output(key).map_or(Self::Skipped, Self::Amount),
            Self::Extra if key == b"usage" => Self::OtherUsage,
            Self::Error if matches!(key, b"code" | b"type" | b"status") => Self::Blame,
            Self::Choice => of_choice(key),
            Self::Said => match key {
                b"content" | b"reasoning_content" | b"reasoning" | b"refusal" | b"arguments"
                | b"text" | b"transcript" => Self::Text,
                b"reasoning_details" | b"annotations" => Self::Aside,
                _ => Self::Said,
            },
            // A list of parts, where text could stand alone.
            Self::Text => Self::Said.member(key),
            Self::Aside => Self::Aside,
            Self::Item | Self::LoneItem => of_item(key),
            Self::Part | Self::ItemText => match key {
                b"text" | b"refusal" | b"transcript" => Self::ItemText,
                _ => Self::Skipped,
            },
            Self::Action if key == b"type" => Self::Word(Word::Action),
            _ => Self::Skipped,
        }
    }

    /// Returns the place of an element of the array that stands here.
    pub(crate) fn element(self) -> Self {
        match self {
            Self::Choices => Self::Choice,
            Self::Output => Self::Item,
            Self::Said | Self::Aside | Self::Part => self,
            Self::Text => Self::Said,
            Self::ItemText => Self::Part,
            _ => Self::Skipped,
        }
    }

    /// True if strings that stand here are generated text.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::ItemText | Self::Delta)
    }

    /// True if strings that stand here are short, and matter as a whole.
    pub(crate) fn is_word(self) -> bool {
        matches!(
            self,
            Self::Amount(_)
                | Self::Seconds
                | Self::Duration
                | Self::Blame
                | Self::Finish
                | Self::Word(_)
        )
    }
}

fn of_document(key: &[u8]) -> Place {
    match key {
        b"response" => Place::Response,
        b"choices" => Place::Choices,
        b"data" => Place::Data,
        b"results" => Place::Results,
        b"item" => Place::LoneItem,
        b"delta" => Place::Delta,
        b"duration" => Place::Duration,
        b"size" => Place::Word(Word::Size),
        b"type" => Place::Word(Word::Kind),
        b"object" => Place::Word(Word::Object),
        b"code" => Place::Blame,
        b"x_groq" => Place::Extra,
        b"id" | b"model" | b"created" | b"system_fingerprint" => Place::Skipped,
        key => match of_response(key) {
            Place::Skipped => Place::Unknown,
            known => known,
        },
    }
}

fn of_response(key: &[u8]) -> Place {
    match key {
        b"usage" => Place::Usage,
        b"error" => Place::Error,
        b"output" => Place::Output,
        b"status" => Place::Word(Word::Status),
        b"service_tier" => Place::Word(Word::ServiceTier),
        _ => Place::Skipped,
    }
}

fn of_usage(key: &[u8]) -> Place {
    match key {
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
            Place::InputDetails
        }
        b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
            Place::OutputDetails
        }
        b"seconds" => Place::Seconds,
        key => Amount::of_usage(key).map_or(Place::Skipped, Place::Amount),
    }
}

fn of_choice(key: &[u8]) -> Place {
    match key {
        b"index" => Place::Skipped,
        b"finish_reason" => Place::Finish,
        b"error" => Place::Error,
        b"text" => Place::Text,
        b"delta" | b"message" => Place::Said,
        _ => Place::Aside,
    }
}

fn of_item(key: &[u8]) -> Place {
    match key {
        b"type" => Place::Word(Word::Item),
        b"container_id" => Place::Word(Word::Container),
        b"action" => Place::Action,
        b"text" | b"arguments" | b"code" | b"input" | b"refusal" => Place::ItemText,
        b"content" | b"summary" => Place::Part,
        _ => Place::Skipped,
    }
}
