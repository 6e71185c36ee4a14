//! A value that is one word, or a table that says more.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

struct WordOrTable<W, T, V> {
    expected: &'static str,
    word: fn(W) -> V,
    table: fn(T) -> V,
}

/// Reads a word or a table, whichever is there; `expected` says what it may be.
pub(super) fn read<'de, D: Deserializer<'de>, W: Deserialize<'de>, T: Deserialize<'de>, V>(
    deserializer: D,
    expected: &'static str,
    word: fn(W) -> V,
    table: fn(T) -> V,
) -> Result<V, D::Error> {
    deserializer.deserialize_any(WordOrTable { expected, word, table })
}

impl<'de, W: Deserialize<'de>, T: Deserialize<'de>, V> Visitor<'de> for WordOrTable<W, T, V> {
    type Value = V;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V, E> {
        W::deserialize(StrDeserializer::new(text)).map(self.word)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(self.table)
    }
}
