//! The items of charges, each with the key of its price in a price book.

use base::names;

use crate::UsageKind;

/// The keys of prices in the order in which tables are written, each with the name of its item.
const PRICE_KEYS: &str = include_str!("price_keys.txt");

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

fn price_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRICE_KEYS.lines().filter_map(|line| line.split_once(' '))
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
        let mut keys = price_keys();
        let found = keys.find(|(_, item)| *item == self.as_str());
        found.map_or(self.as_str(), |(key, _)| key)
    }

    /// Returns the item with this key of its price.
    pub(crate) fn of_price_key(key: &str) -> Option<Self> {
        let (_, item) = price_keys().find(|(known, _)| *known == key)?;
        Self::parse(item)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_with_a_price_has_one_key() {
        for item in ItemName::ALL {
            let keys = price_keys().filter(|(_, of)| *of == item.as_str());
            let expected = usize::from(*item != ItemName::ReportedCost);
            assert_eq!(keys.count(), expected, "{item:?}");
            let found = ItemName::of_price_key(item.price_key());
            assert_eq!(found, Some(*item).filter(|_| expected == 1), "{item:?}");
        }
        assert_eq!(price_keys().count(), ItemName::ALL.len() - 1);
    }
}
