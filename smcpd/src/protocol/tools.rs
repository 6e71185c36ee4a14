//! `tools/list`: the tools of one catalog, page by page.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::jsonrpc::{INVALID_PARAMS, RpcError};
use super::{Peer, Service, read};
use crate::catalog::Catalog;

/// Letta and others read only the first page of a list: it holds this many tools.
const PAGE: usize = 1_000;

impl Service {
    /// 2025-11-25, tools, "listing tools", and utilities, "pagination".
    pub(super) fn list(&self, peer: &Peer, params: Option<&RawValue>) -> Result<Bytes, RpcError> {
        #[derive(Deserialize, Default)]
        struct Params {
            cursor: Option<String>,
        }
        let params: Params = read(params)?.unwrap_or_default();
        let catalog = self.seen(peer);
        let count = catalog.tools().len();
        let fields = peer.revision.fields();
        if params.cursor.is_none() && count <= PAGE {
            return Ok(catalog.listed(fields));
        }
        let mark = mark(&catalog);
        let start = match params.cursor {
            None => 0,
            Some(cursor) => start_of(&cursor, mark, count)
                .map_err(|error| RpcError::new(INVALID_PARAMS, error.to_string()))?,
        };
        let mut page = json!({"tools": catalog.tools_from(start, PAGE, fields)});
        if start + PAGE < count {
            page["nextCursor"] = cursor(mark, start + PAGE).into();
        }
        Ok(page.to_string().into())
    }
}

/// Why a cursor leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum CursorError {
    #[error("`cursor` is not one of ours")]
    Foreign,
    #[error("the list has changed: begin again without a cursor")]
    Changed,
}

/// Tells one list from the next. Generations begin anew with each daemon, names do not.
fn mark(catalog: &Catalog) -> u64 {
    let mut hash = DefaultHasher::new();
    catalog.generation.hash(&mut hash);
    catalog.tools().iter().for_each(|tool| tool.wire_name().hash(&mut hash));
    hash.finish()
}

fn cursor(mark: u64, start: usize) -> String {
    format!("{mark:016x}{start:x}")
}

fn start_of(cursor: &str, mark: u64, count: usize) -> Result<usize, CursorError> {
    let is_ours = cursor.len() <= 32 && cursor.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (theirs, start) = cursor.split_at_checked(16).filter(|_| is_ours).ok_or(CursorError::Foreign)?;
    let theirs = u64::from_str_radix(theirs, 16).map_err(|_| CursorError::Foreign)?;
    let start = usize::from_str_radix(start, 16).map_err(|_| CursorError::Foreign)?;
    if theirs != mark {
        return Err(CursorError::Changed);
    }
    let is_page = start > 0 && start < count && start.is_multiple_of(PAGE);
    if is_page { Ok(start) } else { Err(CursorError::Foreign) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_list_that_it_came_with() {
        let ours = cursor(7, PAGE);
        let cases = [
            (ours.clone(), 7, 1_001, Ok(PAGE)),
            (cursor(u64::MAX, 2 * PAGE), u64::MAX, 5_000, Ok(2 * PAGE)),
            (ours.clone(), 8, 1_001, Err(CursorError::Changed)),
            (ours.clone(), 8, 1, Err(CursorError::Changed)),
            // Nothing begins there.
            (ours.clone(), 7, 1_000, Err(CursorError::Foreign)),
            (cursor(7, 0), 7, 5_000, Err(CursorError::Foreign)),
            (cursor(7, 1), 7, 5_000, Err(CursorError::Foreign)),
            (String::new(), 7, 5_000, Err(CursorError::Foreign)),
            ("1000".to_owned(), 7, 5_000, Err(CursorError::Foreign)),
            (format!("{ours} "), 7, 5_000, Err(CursorError::Foreign)),
            (cursor(0xabc, PAGE).to_uppercase(), 0xabc, 5_000, Err(CursorError::Foreign)),
            ("0".repeat(16), 0, 5_000, Err(CursorError::Foreign)),
            ("f".repeat(33), 0, 5_000, Err(CursorError::Foreign)),
            (format!("{:016x}+3e8", 7), 7, 5_000, Err(CursorError::Foreign)),
            ("é".repeat(16), 7, 5_000, Err(CursorError::Foreign)),
        ];
        for (cursor, mark, count, expected) in cases {
            assert_eq!(start_of(&cursor, mark, count), expected, "{cursor}");
        }
    }

    #[test]
    fn two_lists_have_two_marks() {
        let one = Catalog::empty();
        let mut other = Catalog::empty();
        assert_eq!(mark(&one), mark(&other));
        other.generation = 1;
        assert_ne!(mark(&one), mark(&other));
    }
}
