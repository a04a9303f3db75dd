//! Groupings of a job's positions: [`JobGrouping`] in its plan, and the group of each position in `groups.bin`.

use serde::{Deserialize, Serialize};
use stratigraph_core::TokenWindows;
use stratigraph_probes::scores::TokenGroups;

use super::hash::hash_bytes;
use crate::Result;

/// A grouping of a job's positions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobGrouping {
    /// Its name, such as `class`.
    pub name: String,
    /// The labels of its groups.
    pub labels: Vec<String>,
    /// The SHA-256 of its part of `groups.bin`.
    pub sha256: String,
}

/// Stands for no group.
const NONE: u16 = u16::MAX;

impl JobGrouping {
    pub(crate) fn new(groups: &TokenGroups, windows: &TokenWindows) -> Self {
        let sha256 = hash_bytes(&group_bytes(groups, windows));
        Self { name: groups.name().to_owned(), labels: groups.labels().to_vec(), sha256 }
    }
}

/// The group of each position as two bytes, the lower first, window after window.
pub(crate) fn group_bytes(groups: &TokenGroups, windows: &TokenWindows) -> Vec<u8> {
    let seq_len = windows.seq_len();
    let group = |flat: usize| groups.group(flat / seq_len, flat % seq_len).map_or(NONE, |group| group as u16);
    (0..windows.ids().len()).flat_map(|flat| group(flat).to_le_bytes()).collect()
}

/// The groupings of a plan, whose groups follow one another in `bytes`. An error says what is wrong with them.
pub(crate) fn read_groups(
    groupings: &[JobGrouping],
    bytes: &[u8],
    windows: &TokenWindows,
) -> Result<Vec<TokenGroups>, String> {
    let (seq_len, size) = (windows.seq_len(), size_of::<u16>() * windows.ids().len());
    if bytes.len() != groupings.len() * size {
        return Err(format!("it has {} bytes, and {} groupings of {size} each", bytes.len(), groupings.len()));
    }
    let read = |(JobGrouping { name, labels, sha256 }, bytes): (&JobGrouping, &[u8])| {
        if hash_bytes(bytes) != *sha256 {
            return Err(format!("its groups by {name} are not those of the plan"));
        }
        let groups: Vec<u16> = bytes.as_chunks().0.iter().map(|group| u16::from_le_bytes(*group)).collect();
        let group = |window: usize, position: usize| {
            let group = groups[window * seq_len + position];
            (group != NONE).then_some(usize::from(group))
        };
        TokenGroups::new(name, labels, windows, group).map_err(|error| error.to_string())
    };
    groupings.iter().zip(bytes.chunks(size.max(1))).map(read).collect()
}
