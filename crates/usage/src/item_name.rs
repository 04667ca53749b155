//! The items of charges, each with the key of its price in a price book.

use base::names;

use crate::UsageKind;

names! {
    /// The item of a charge. Values are stored by their order, so new ones go to the end.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names say it")]
    pub enum ItemName {
        InputTokens = "input_tokens",
        InputCachedTokens = "input_cached_tokens",
        InputCacheWriteTokens = "input_cache_write_tokens",
        OutputTokens = "output_tokens",
        InputAudioTokens = "input_audio_tokens",
        InputCachedAudioTokens = "input_cached_audio_tokens",
        OutputAudioTokens = "output_audio_tokens",
        InputImageTokens = "input_image_tokens",
        OutputImageTokens = "output_image_tokens",
        Images = "images",
        Characters = "characters",
        Seconds = "seconds",
        WebSearchCalls = "web_search_calls",
        FileSearchCalls = "file_search_calls",
        CodeInterpreterSessions = "code_interpreter_sessions",
        /// Bytes kept for a day.
        VectorStores = "vector_stores",
        InputCacheWrite30mTokens = "input_cache_write_30m_tokens",
        InputCacheWrite12hTokens = "input_cache_write_12h_tokens",
        InputCachedImageTokens = "input_cached_image_tokens",
        /// The cost of requests as their upstream reported it.
        ReportedCost = "reported_cost",
        InputCacheWrite5mTokens = "input_cache_write_5m_tokens",
        InputCacheWrite1hTokens = "input_cache_write_1h_tokens",
    }
}

impl ItemName {
    /// Returns the unit of quantities in the contract's words; `None` if the contract has none.
    #[must_use]
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::Images => Some("images"),
            Self::Characters => Some("characters"),
            Self::Seconds => Some("duration_seconds"),
            Self::WebSearchCalls
            | Self::FileSearchCalls
            | Self::CodeInterpreterSessions
            | Self::VectorStores
            | Self::ReportedCost => None,
            _ => Some("tokens"),
        }
    }

    /// Returns the key of the price in a price book; a reported cost is `reported_cost`, which is no key of a book.
    #[must_use]
    pub fn price_key(self) -> &'static str {
        match self {
            Self::InputTokens => "input",
            Self::InputCachedTokens => "cached_input",
            Self::InputCacheWriteTokens => "cache_write",
            Self::OutputTokens => "output",
            Self::InputAudioTokens => "input_audio",
            Self::InputCachedAudioTokens => "cached_input_audio",
            Self::OutputAudioTokens => "output_audio",
            Self::InputImageTokens => "input_image",
            Self::OutputImageTokens => "output_image",
            Self::Images => "image",
            Self::Characters => "character",
            Self::Seconds => "second",
            Self::WebSearchCalls => "web_search",
            Self::FileSearchCalls => "file_search",
            Self::CodeInterpreterSessions => "code_interpreter",
            Self::VectorStores => "storage",
            Self::InputCacheWrite30mTokens => "cache_write_30m",
            Self::InputCacheWrite12hTokens => "cache_write_12h",
            Self::InputCacheWrite5mTokens => "cache_write_5m",
            Self::InputCacheWrite1hTokens => "cache_write_1h",
            Self::InputCachedImageTokens => "cached_input_image",
            Self::ReportedCost => "reported_cost",
        }
    }

    /// Returns the item with this key of its price.
    pub(crate) fn of_price_key(key: &str) -> Option<Self> {
        let mut items = Self::ALL.iter().copied();
        items.find(|item| item.price_key() == key && *item != Self::ReportedCost)
    }

    /// Returns the number of units that the price is for.
    #[must_use]
    pub fn per(self) -> i64 {
        match self {
            Self::Images | Self::Seconds | Self::CodeInterpreterSessions | Self::ReportedCost => 1,
            Self::WebSearchCalls | Self::FileSearchCalls => 1_000,
            Self::VectorStores => 1 << 30,
            _ => 1_000_000,
        }
    }

    /// True if the price is of a tool or of storage, which may be listed for every model.
    pub(crate) fn is_for_any_model(self) -> bool {
        matches!(
            self,
            Self::WebSearchCalls
                | Self::FileSearchCalls
                | Self::CodeInterpreterSessions
                | Self::VectorStores
        )
    }

    /// Returns the report that counts a tool or storage.
    pub(crate) fn tool_kind(self) -> UsageKind {
        match self {
            Self::WebSearchCalls => UsageKind::WebSearchCalls,
            Self::FileSearchCalls => UsageKind::FileSearchCalls,
            Self::CodeInterpreterSessions => UsageKind::CodeInterpreterSessions,
            _ => UsageKind::VectorStores,
        }
    }
}
