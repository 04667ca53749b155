//! Models called through the gateway, streaming and not.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CompletionUsage,
    CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use futures_util::StreamExt;

use super::{Key, Run, client};
use crate::reports::Sums;

impl Run {
    /// Calls a model in three ways, which all report, or stand for, the same usage.
    pub(super) async fn call(&mut self, key: &Key, model: &str, prompt: &str) {
        let application = client(&self.base, &key.value);
        let whole = application
            .chat()
            .create(request(model, prompt))
            .await
            .expect("an answer");
        let text = whole.choices[0].message.content.clone();
        let usage = whole
            .usage
            .expect("an answer without streaming reports its usage");

        let asking = CreateChatCompletionRequest {
            stream_options: Some(ChatCompletionStreamOptions {
                include_usage: Some(true),
                include_obfuscation: None,
            }),
            ..request(model, prompt)
        };
        let (streamed, reported) = stream(&application, asking).await;
        assert_eq!(
            (Some(streamed), reported.as_ref()),
            (text.clone(), Some(&usage))
        );
        let (streamed, reported) = stream(&application, request(model, prompt)).await;
        assert_eq!(
            (Some(streamed), reported),
            (text, None),
            "nobody asked for usage"
        );

        let details = usage.prompt_tokens_details.as_ref();
        let cached = details.and_then(|details| details.cached_tokens);
        let sums = self
            .reported
            .entry((model.to_owned(), key.id.clone()))
            .or_default();
        for _ in 0..3 {
            *sums += Sums {
                requests: 1,
                input: usage.prompt_tokens.into(),
                cached: cached.unwrap_or(0).into(),
                output: usage.completion_tokens.into(),
            };
        }
    }
}

pub(super) fn request(model: &str, prompt: &str) -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessage::from(prompt);
    let mut request = CreateChatCompletionRequestArgs::default();
    let request = request.model(model).messages([message.into()]);
    request.build().expect("a request")
}

/// The text of a stream, and the usage that it reported.
async fn stream(
    application: &Client<OpenAIConfig>,
    request: CreateChatCompletionRequest,
) -> (String, Option<CompletionUsage>) {
    let (mut text, mut usage) = (String::new(), None);
    let mut stream = application
        .chat()
        .create_stream(request)
        .await
        .expect("a stream");
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("a chunk");
        assert!(usage.is_none(), "usage comes last, and once");
        usage = chunk.usage;
        let choices = chunk.choices.into_iter();
        text.extend(choices.filter_map(|choice| choice.delta.content));
    }
    (text, usage)
}
