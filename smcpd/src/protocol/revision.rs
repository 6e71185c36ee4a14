//! The revisions of the protocol, and what each one changes: the seam between the dialects that open a session
//! with `initialize` and the stateless one of 2026-07-28.

use crate::catalog::Fields;

/// A revision of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revision {
    V2024_11_05,
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    /// Every request stands alone.
    V2026_07_28,
}

/// What a client says it speaks, in the `MCP-Protocol-Version` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Session(Revision),
    /// 2026-07-28: every request stands alone.
    Stateless,
    Unknown,
}

impl Revision {
    /// Those with sessions.
    pub(crate) const ALL: [Self; 4] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25];
    /// The latest with sessions.
    pub(crate) const LATEST: Self = Self::V2025_11_25;

    /// Every revision that is served, the newest first.
    pub(crate) fn supported() -> Vec<&'static str> {
        let all = Self::ALL.into_iter().chain([Self::V2026_07_28]);
        all.rev().map(Self::as_str).collect()
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Answers `initialize`: the revision asked for where it is ours, else our latest with sessions
    /// (2025-11-25, lifecycle, "version negotiation"). It never agrees to the stateless one.
    pub(crate) fn negotiate(asked: &str) -> Self {
        Self::parse(asked).unwrap_or(Self::LATEST)
    }

    pub(crate) fn is_stateless(self) -> bool {
        self == Self::V2026_07_28
    }

    /// JSON-RPC batches came with 2025-03-26 and left with 2025-06-18.
    pub(crate) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Bad arguments are a tool result from 2025-11-25 on, so that a model can mend them (SEP-1303).
    pub(crate) fn bad_arguments_are_results(self) -> bool {
        self >= Self::V2025_11_25
    }

    /// A stream opens with an empty event that carries an id (2025-11-25, SEP-1699). Older clients choke on it.
    pub(crate) fn primes_streams(self) -> bool {
        self == Self::V2025_11_25
    }

    pub(crate) fn fields(self) -> Fields {
        match self {
            Self::V2024_11_05 => Fields::Plain,
            Self::V2025_03_26 => Fields::Annotated,
            Self::V2025_06_18 | Self::V2025_11_25 | Self::V2026_07_28 => Fields::Titled,
        }
    }
}

impl Claim {
    pub(crate) fn read(header: &str) -> Self {
        match header {
            "2026-07-28" => Self::Stateless,
            text => Revision::parse(text).map_or(Self::Unknown, Self::Session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_agrees_to_what_it_knows_and_never_to_the_stateless_revision() {
        for revision in Revision::ALL {
            assert_eq!(Revision::negotiate(revision.as_str()), revision);
            assert_eq!(Claim::read(revision.as_str()), Claim::Session(revision));
        }
        for asked in ["2026-07-28", "1999-01-01", "", "2025-11-25 "] {
            assert_eq!(Revision::negotiate(asked), Revision::V2025_11_25, "{asked}");
        }
        assert_eq!(Claim::read("2026-07-28"), Claim::Stateless);
        assert_eq!(Claim::read("2025-11-2"), Claim::Unknown);
    }
}
