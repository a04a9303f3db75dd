//! The groupings of positions: [`GroupingEntry`], and the curves over their groups.

use super::entry::{AxisKind, CurveEntry};
use super::find_metric;

/// A way to group the positions of a corpus. A metric of a prediction goes to the group of the position at which it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupingEntry {
    /// Its name, at the end of a matrix's name: `delete_kl_by_class`.
    pub name: &'static str,
    /// What it groups by.
    pub title: &'static str,
    /// The groups.
    pub definition: &'static str,
}

static GROUPINGS: [GroupingEntry; 5] = [
    GroupingEntry {
        name: "class",
        title: "token class",
        definition: "the token read at the position, by its text. `word start`: it has a letter, and begins with white space \
                     or follows neither a letter nor a digit; `word continuation`: it has a letter, and follows a letter or \
                     a digit without white space; `digit`: it has a digit and no letter; `punctuation`: any other visible \
                     character; `white space`; `other`: special tokens and parts of a character",
    },
    GroupingEntry {
        name: "frequency",
        title: "token frequency",
        definition: "how often the token read at the position occurs in the windows, in quartiles of positions from rare to \
                     frequent; tokens with the same number of occurrences are in one group",
    },
    GroupingEntry {
        name: "position",
        title: "position in the window",
        definition: "the position in the window: 0, 1-3, 4-15, 16-63 and so on",
    },
    GroupingEntry {
        name: "word",
        title: "part of a word",
        definition: "where the token read at the position stands in its word: `single token`, `inside` (before the last of \
                     several tokens), `last token` (of several), `no word`. A word is a run of letters whose tokens hold \
                     nothing else but white space; words are cut at both ends of a window",
    },
    GroupingEntry {
        name: "next_class",
        title: "class of the next token",
        definition: "the class of the token that follows, which is predicted at the position; the last position of a window \
                     has none",
    },
];

/// What separates the name of a curve from that of a grouping.
const BY: &str = "_by_";

/// All groupings.
pub fn groupings() -> &'static [GroupingEntry] {
    &GROUPINGS
}

/// The grouping of a name.
pub fn find_grouping(name: &str) -> Option<&'static GroupingEntry> {
    GROUPINGS.iter().find(|entry| entry.name == name)
}

/// The name of the curve and of the grouping in the name of a matrix by groups, such as `delete_kl` and `class`.
pub fn split_grouping(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(BY).filter(|(curve, grouping)| !curve.is_empty() && !grouping.is_empty())
}

/// A metric of the unchanged model by groups, such as `clean_nll_by_class`.
pub(super) fn find_clean(name: &str) -> Option<CurveEntry> {
    let (value, grouping) = split_grouping(name)?;
    let (metric, grouping) = (find_metric(value.strip_prefix("clean_")?)?, find_grouping(grouping)?);
    Some(CurveEntry {
        name: name.to_owned(),
        title: format!("{} of the unchanged model by {}", metric.title, grouping.title),
        label: format!("unchanged model: {}", metric.label),
        quantity: metric.label.clone(),
        unit: metric.unit.clone(),
        scale: metric.scale,
        axis: AxisKind::Labelled(grouping.name),
        definition: format!("{}. At the positions of each group: {}", metric.definition, grouping.definition),
        group: "Unchanged model".to_owned(),
        sweep: None,
        metric: None,
        is_difference: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;
    use crate::catalogue::{find, find_matrix};

    #[test]
    fn what_is_measured_by_groups_is_derived() {
        let entry = find_matrix("delete_reverse_kl_by_class").unwrap();
        assert_eq!((&entry.title[..], entry.unit), ("Deleting a layer: reverse KL by token class", Unit::Nats));
        assert_eq!(find_matrix("lens_nll_by_next_class").unwrap().title, "Logit lens: loss by class of the next token");
        let clean = find("clean_nll_by_word").unwrap();
        assert_eq!(
            (&clean.title[..], clean.axis),
            ("Loss of the unchanged model by part of a word", AxisKind::Labelled("word"))
        );
        for unknown in ["delete_kl_by_", "delete_by_class", "cosine_by_class", "delete_kl_by_mine", "_by_class"] {
            assert!(find_matrix(unknown).is_none(), "{unknown}");
        }
        assert!(find("clean_by_class").is_none() && find("clean_nll_by_mine").is_none());
        assert_eq!(split_grouping("x_by_y_by_z"), Some(("x_by_y", "z")));
    }
}
