//! Opens the pages in a headless Chromium, on a wide screen and on a telephone, and looks for what a reader would mind:
//! labels that are cut or lie on each other, a page wider than its screen, a console error, a request to the outside.

mod browser;
mod sample;

use browser::{Browser, Seen};
use sample::{profile, with_stages};
use stratigraph_report::{Comparison, Report};

fn nothing_is_wrong(seen: &[Seen]) {
    assert_eq!(seen.iter().map(|seen| seen.width).collect::<Vec<_>>(), [1280, 420]);
    for seen in seen {
        assert!(seen.problems.is_empty(), "{} wide: {:#?}", seen.width, seen.problems);
    }
}

#[test]
fn a_page_with_everything_is_readable_at_both_widths() {
    let Some(browser) = Browser::find() else { return };
    for (name, n_layers) in [("a model <of> \"30\" & more", 30), ("96 layers.gguf", 96)] {
        let profile = with_stages(name, n_layers);
        let figures = stratigraph_report::figures(&profile);
        let page = Report::new(&profile).page();
        assert_eq!(browser.complaints(&page), Vec::<String>::new());
        let views = browser.look_at(&page);
        nothing_is_wrong(&views);
        for seen in views {
            let names: Vec<_> = figures.iter().map(|figure| figure.name.clone()).collect();
            assert_eq!(seen.figures, names);
            assert_eq!(seen.n_pictures, figures.iter().map(|figure| figure.panels.len()).sum::<usize>());
        }
    }
}

#[test]
fn odd_profiles_have_readable_pages_too() {
    let Some(browser) = Browser::find() else { return };
    let mut no_numbers = profile("no numbers", 12);
    no_numbers.curves.values_mut().for_each(|curve| curve.mean.fill(f64::NAN));
    let mut empty = profile("", 12);
    empty.curves.clear();
    empty.matrices.clear();
    for odd in [profile("one layer", 1), profile("none", 0), no_numbers, empty] {
        let page = Report::new(&odd).page();
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{}", odd.model.name);
        nothing_is_wrong(&browser.look_at(&page));
    }
}

#[test]
fn a_comparison_is_readable_at_both_widths() {
    let Some(browser) = Browser::find() else { return };
    let long = "an-organisation/a-model-with-a-long-name-and-a-longer-one-after-it-Instruct.Q4_K_M.gguf";
    let profiles = [with_stages("small <1>", 6), with_stages(long, 30), with_stages(long, 96), profile("one", 1)];
    let comparison = Comparison::new(profiles).expect("there are four");
    nothing_is_wrong(&browser.look_at(&comparison.to_string()));
}

#[test]
fn figures_that_stand_alone_are_readable() {
    let Some(browser) = Browser::find() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profile = with_stages("m", 30);
    let written = Report::new(&profile).write(dir.path().join("out")).expect("an empty directory");
    let drawings = written.iter().filter(|path| path.extension().is_some_and(|end| end == "svg"));
    let inline: String = drawings.map(|path| std::fs::read_to_string(path).expect("it was written")).collect();
    let views = browser.look_at(&format!("<!doctype html><style>svg{{max-width:100%}}</style>{inline}"));
    let overlaps = |problem: &&String| problem.contains("overlap") || problem.contains("cut");
    assert_eq!(views[0].problems.iter().filter(overlaps).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The checks themselves find what they are for.
#[test]
fn a_bad_page_is_found_out() {
    let Some(browser) = Browser::find() else { return };
    let text = |x, y, text| format!(r#"<text x="{x}" y="{y}">{text}</text>"#);
    let texts = [text(10, 20, "one"), text(15, 22, "two"), text(90, 60, "three")].concat();
    let bad = format!(
        r#"<!doctype html>
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <style>svg{{width:100px}}</style><svg viewBox="0 0 100 100">{texts}</svg>
        <div style="width:2000px">wide</div><img alt="" src="https://example.invalid/picture.png">"#
    );
    assert!(!browser.complaints(&bad).is_empty());
    for seen in browser.look_at(&bad) {
        let found = |what: &str| seen.problems.iter().any(|problem| problem.contains(what));
        let all = ["one and two overlap", "three is cut", "wider than the screen", "console"];
        assert!(all.into_iter().all(found), "{:#?}", seen.problems);
    }
}
