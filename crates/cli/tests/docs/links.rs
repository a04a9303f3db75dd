//! Links of the documentation lead somewhere: to files that exist, to headings that are there, and within the book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use stratigraph_testing::{DocPage, doc_pages, repository};

/// A link of a page.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// The lines of a page outside of blocks, with their numbers.
fn prose(page: &str) -> Vec<(usize, String)> {
    let mut is_open = false;
    let outside = |(index, line): (usize, &str)| {
        if line.trim_start().starts_with("```") {
            is_open = !is_open;
            return None;
        }
        (!is_open).then(|| (index + 1, line.to_owned()))
    };
    page.lines().enumerate().filter_map(outside).collect()
}

/// A line without what is between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

fn links(page: &str) -> Vec<Link> {
    let of_line = |(line, text): (usize, String)| {
        let text = without_code(&text);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| Link { line, target: target.to_owned() }).collect::<Vec<_>>()
    };
    prose(page).into_iter().flat_map(of_line).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase();
        let n = seen.entry(name.clone()).or_default();
        *n += 1;
        if *n == 1 { name } else { format!("{name}-{}", *n - 1) }
    };
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_owned());
    prose(page).iter().filter_map(|(_, line)| heading(line)).map(|text| anchor(&text)).collect()
}

/// A path without `.` and `..`; `None` if it leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    path.components().try_fold(PathBuf::new(), |mut normal, part| match part {
        Component::ParentDir => normal.pop().then_some(normal),
        Component::CurDir => Some(normal),
        part => {
            normal.push(part);
            Some(normal)
        }
    })
}

/// What is wrong with a link of a page.
fn complaint(pages: &BTreeMap<PathBuf, String>, page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { Some(page.to_owned()) } else { normal(&page.parent()?.join(file)) };
    let Some(path) = path.filter(|path| repository().join(path).exists()) else {
        return Some("there is no such file".to_owned());
    };
    if page.starts_with("docs") && !path.starts_with("docs") {
        return Some("it leaves docs/, so it leads nowhere in the book: name the file instead".to_owned());
    }
    let has_anchor = |text: &String| anchors(text).contains(anchor);
    (!anchor.is_empty() && !pages.get(&path).is_some_and(has_anchor)).then(|| "there is no such heading".to_owned())
}

fn by_path(pages: &[DocPage]) -> BTreeMap<PathBuf, String> {
    pages.iter().map(|page| (PathBuf::from(&page.path), page.text.clone())).collect()
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let pages = by_path(&doc_pages());
    let (mut n, mut wrong) = (0, Vec::new());
    for (path, text) in &pages {
        for link in links(text) {
            n += 1;
            if let Some(complaint) = complaint(&pages, path, &link.target) {
                wrong.push(format!("{}:{}: {}: {complaint}", path.display(), link.line, link.target));
            }
        }
    }
    assert!(n > 50, "{n} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_is_in_the_book_once() {
    let pages = by_path(&doc_pages());
    let summary = links(&pages[Path::new("docs/SUMMARY.md")]);
    let mut listed: Vec<_> = summary.iter().map(|link| Path::new("docs").join(&link.target)).collect();
    listed.push("docs/SUMMARY.md".into());
    listed.sort();
    let pages: Vec<_> = pages.into_keys().filter(|path| path.starts_with("docs")).collect(); // in order
    assert_eq!(listed, pages);
}

#[test]
fn dead_links_are_found() {
    let text =
        "# A `b` c!\n[x](#a-b-c) `[no](code)` [y](b.md#d)\n```text\n[no](block)\n```\n[z](../README.md)\n## D\n## D\n";
    let found: Vec<_> = links(text).into_iter().map(|link| (link.line, link.target)).collect();
    let expected = [(2, "#a-b-c"), (2, "b.md#d"), (6, "../README.md")].map(|(line, target)| (line, target.to_owned()));
    assert_eq!(found, expected);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b-c", "d", "d-1"]);

    let page = Path::new("docs/terms.md");
    let pages = BTreeMap::from([(page.to_owned(), text.to_owned())]);
    let complaint = |target| complaint(&pages, page, target).unwrap_or_default();
    assert_eq!(complaint("#a-b-c"), "");
    assert_eq!(complaint("https://example.org/x"), "");
    assert_eq!(complaint("#e"), "there is no such heading");
    assert_eq!(complaint("no-such.md"), "there is no such file");
    assert_eq!(complaint("../../outside.md"), "there is no such file");
    assert!(complaint("../README.md").starts_with("it leaves docs/"));
}
