//! Opens the page of a prompt in a headless Chromium, light and dark, on screens from a telephone's to a wide one, with its script
//! and without.

mod browser;
#[path = "../src/prompt/testing.rs"]
mod testing;

use browser::{Browser, Look};
use stratigraph_profile::prompt::PromptReading;
use stratigraph_report::PromptPage;
use testing::reading;

const WIDTHS: [u32; 4] = [420, 768, 1024, 1600];

/// Looks at a page at every width, light and dark.
fn nothing_is_wrong(browser: &Browser, page: &str, script: bool) {
    assert_eq!(browser.complaints(page), Vec::<String>::new());
    for dark in [false, true] {
        let flags = format!("const wantsDark = {dark}, withoutScript = {};", !script);
        let checks = format!("{flags}\n{}", include_str!("browser/prompt.js"));
        let seen = browser.look(page, &Look { widths: &WIDTHS, dark, checks: &checks });
        assert_eq!(seen.iter().map(|seen| seen.width as u32).collect::<Vec<_>>(), WIDTHS);
        for seen in seen {
            assert!(seen.problems.is_empty(), "{} wide, dark {dark}: {:#?}", seen.width, seen.problems);
        }
    }
}

#[test]
fn the_page_of_a_prompt_is_readable_and_its_keys_work() {
    let Some(browser) = Browser::find() else { return };
    for reading in [reading(8, 12, 4), reading(64, 30, 9)] {
        nothing_is_wrong(&browser, &PromptPage::new(&reading).to_string(), true);
    }
}

#[test]
fn without_its_script_the_page_is_tables() {
    let Some(browser) = Browser::find() else { return };
    let page = PromptPage::new(&reading(8, 12, 4)).to_string();
    let (before, rest) = page.split_once("<script>").expect("the page has a script");
    let (_, after) = rest.split_once("</script>").expect("it ends");
    nothing_is_wrong(&browser, &format!("{before}{after}"), false);
}

#[test]
fn a_changed_script_is_refused_by_the_policy() {
    let Some(browser) = Browser::find() else { return };
    let page = PromptPage::new(&reading(3, 2, 1)).to_string();
    let changed = page.replace("'use strict';", "'use strict'; ");
    assert!(browser.complaints(&changed).iter().any(|line| line.contains("Content Security Policy")));
}

#[test]
fn a_prompt_of_two_tokens_in_one_layer_has_a_page() {
    let Some(browser) = Browser::find() else { return };
    let mut small: PromptReading = reading(2, 1, 1);
    small.attention = None;
    let page = PromptPage::new(&small).to_string();
    assert_eq!(browser.complaints(&page), Vec::<String>::new());
}
