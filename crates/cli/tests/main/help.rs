//! What the program says of itself: help with examples and headings, and misuse.

use crate::common::{is_misused, run, succeeds, text};

const SUBCOMMANDS: &[&[&str]] = &[
    &[],
    &["study"],
    &["lens"],
    &["lens", "show"],
    &["lens", "fit"],
    &["sweep"],
    &["sweep", "plan"],
    &["sweep", "run"],
    &["sweep", "status"],
    &["sweep", "merge"],
    &["search"],
    &["compare"],
    &["export"],
    &["tasks"],
    &["generate"],
    &["devices"],
];

#[test]
fn every_help_shows_examples_that_name_the_subcommand() {
    for &subcommand in SUBCOMMANDS {
        let help = succeeds([subcommand, &["-h"]].concat());
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{subcommand:?}: {help}"));
        let of_subcommand = format!("stratigraph {}", subcommand.join(" "));
        assert!((2..=3).contains(&examples.lines().count()), "{subcommand:?}: {examples}");
        assert!(examples.lines().all(|line| line.trim_start().starts_with(of_subcommand.trim_end())), "{examples}");
    }
}

#[test]
fn the_help_of_a_study_is_grouped_and_short() {
    let help = succeeds(["study", "-h"]);
    for heading in ["Model and text:", "Measurements:", "Devices and memory:", "Output:"] {
        assert_eq!(help.matches(heading).count(), 1, "{heading} in {help}");
    }
    assert!(help.lines().count() < 60, "{} lines", help.lines().count());
    let long = succeeds(["study", "--help"]);
    assert!(long.len() > help.len() && long.contains("merging_heads"));
}

#[cfg(feature = "remote")]
#[test]
fn serve_has_examples_too() {
    assert!(succeeds(["serve", "-h"]).contains("Examples:\n  stratigraph serve --device wgpu"));
}

#[test]
fn without_a_subcommand_the_help_is_shown() {
    for arguments in [&[][..], &["sweep"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("Usage: stratigraph"));
    }
}

#[test]
fn misuse_is_told_from_failure_by_the_exit_code() {
    is_misused(
        ["study", "--experiments", "delte"],
        "unknown experiment `delte`; known: delete, delete_after_first, delete_from_N",
    );
    is_misused(["study", "--sequences", "0"], "it must be at least 1");
    is_misused(["study", "--device", "opengl"], "opengl");
    is_misused(["study", "--intervention", "0..x"], "0..x");
    is_misused(["sweep", "run", "job", "--shard", "3/3"], "3/3");
    is_misused(["compare", "--out", "somewhere"], "PROFILE");
}
