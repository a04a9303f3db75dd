//! A headless Chromium that looks at pages: [`Browser`].

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The browser's program.
pub struct Browser(PathBuf);

/// What is wrong with a page on a screen of one width.
#[derive(Debug)]
#[allow(dead_code)] // each test binary uses a part of this file
pub struct Seen {
    pub width: u64,
    /// The names of its figures.
    pub figures: Vec<String>,
    pub n_pictures: usize,
    pub problems: Vec<String>,
}

const WIDTHS: [u32; 2] = [1280, 420];

/// How a page is looked at.
#[allow(dead_code)] // each test binary uses a part of this file
pub struct Look<'a> {
    /// The widths of the screens.
    pub widths: &'a [u32],
    /// Whether the reader wants dark pages.
    pub dark: bool,
    /// A script that defines `alsoCheck(document, window, problems)`.
    pub checks: &'a str,
}

const MARK: &str = "=====VERDICT=====";

impl Browser {
    /// The browser of `STRATIGRAPH_CHROMIUM`, or the first that is installed and opens a file. Without one the test says
    /// that it is skipped, and fails where `STRATIGRAPH_REQUIRE_CHROMIUM` is set.
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let chosen = std::env::var_os("STRATIGRAPH_CHROMIUM").map(PathBuf::from);
            let usual = ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from);
            chosen.into_iter().chain(usual).find(|program| Self(program.clone()).opens_files())
        });
        if found.is_none() {
            let required = std::env::var_os("STRATIGRAPH_REQUIRE_CHROMIUM").is_some();
            assert!(!required, "no Chromium opens a file, and STRATIGRAPH_REQUIRE_CHROMIUM is set");
            eprintln!("skipped: no Chromium opens a file here; set STRATIGRAPH_CHROMIUM to its program");
        }
        found.clone().map(Self)
    }

    /// Some are shut out of temporary directories.
    fn opens_files(&self) -> bool {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let page = dir.path().join("page.html");
        std::fs::write(&page, "<p>it opens files").expect("it can be written");
        let output = self.open(&page, dir.path(), false);
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("it opens files"))
    }

    /// Opens a page inside frames of each width, where everything is measured.
    #[allow(dead_code)] // each test binary uses a part of this file
    pub fn look_at(&self, page: &str) -> Vec<Seen> {
        self.look(page, &Look { widths: &WIDTHS, dark: false, checks: "" })
    }

    /// The same in another way.
    pub fn look(&self, page: &str, look: &Look) -> Vec<Seen> {
        let output = self.open_text(&frames(page, look), look.dark);
        let dom = String::from_utf8_lossy(&output.stdout);
        let json = dom.split(MARK).nth(1).unwrap_or_else(|| panic!("no verdict:\n{dom}"));
        let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let values: Vec<Value> = serde_json::from_str(&json).expect("the script writes JSON");
        let complaints = console(&output);
        values.iter().map(|value| seen(value, &complaints)).collect()
    }

    /// Opens a page by itself, as a reader does, and returns what it writes to the console.
    pub fn complaints(&self, page: &str) -> Vec<String> {
        console(&self.open_text(page, false))
    }

    fn open_text(&self, page: &str, dark: bool) -> Output {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("page.html");
        std::fs::write(&path, page).expect("it can be written");
        self.open(&path, dir.path(), dark).expect("the browser answered before")
    }

    fn open(&self, page: &Path, dir: &Path, dark: bool) -> std::io::Result<Output> {
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-component-update \
                     --disable-background-networking --disable-sync --hide-scrollbars --enable-logging=stderr --v=0 \
                     --window-size=1300,1000 --virtual-time-budget=20000 --dump-dom";
        let mut command = Command::new(&self.0);
        let scheme = u8::from(!dark); // Blink's numbers: 0 dark, 1 light
        command.args(flags.split_whitespace()).arg(format!("--blink-settings=preferredColorScheme={scheme}"));
        command.arg(format!("--user-data-dir={}", dir.join("user").display()));
        command.arg(format!("file://{}", page.display())).output()
    }
}

fn seen(value: &Value, complaints: &[String]) -> Seen {
    let strings = |name: &str| -> Vec<String> {
        value[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut problems = strings("problems");
    problems.extend_from_slice(complaints);
    let n_pictures = value["pictures"].as_u64().unwrap_or_default() as usize;
    Seen { width: value["width"].as_u64().unwrap_or_default(), figures: strings("figures"), n_pictures, problems }
}

/// What the page wrote to the console, which should be nothing.
fn console(output: &Output) -> Vec<String> {
    let log = String::from_utf8_lossy(&output.stderr);
    log.lines().filter(|line| line.contains("CONSOLE")).map(|line| format!("console: {line}")).collect()
}

/// A page of frames that hold the page under test, unchanged, and of the script that measures them. A frame can be
/// narrower than the narrowest window, and its own policy stays in force.
fn frames(page: &str, Look { widths, checks, .. }: &Look) -> String {
    let page = serde_json::to_string(page).expect("text is JSON").replace("</", "<\\/").replace("<!--", "<\\!--");
    let (script, mark) = (include_str!("measure.js"), serde_json::to_string(MARK).expect("text is JSON"));
    format!(
        "<!doctype html><meta charset=utf-8><body><script>\n\
         const page={page},widths={widths:?},mark={mark};\n{checks}\n{script}</script>"
    )
}
