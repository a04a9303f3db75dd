//! What the program writes: lines for a reader that may have gone away ([`line`]), notes, bars and [`CsvFile`]s.

use std::fmt::{Display, Formatter};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use stratigraph_study::Progress;

/// Prints a line. A closed pipe is not an error: the reader has stopped reading.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub fn line(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Columns of a line on standard output: those of `COLUMNS`, or of the terminal, or 100.
pub fn width() -> usize {
    const USUAL: usize = 100;
    let given = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    let of_terminal = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    given.or_else(of_terminal).unwrap_or(USUAL)
}

/// Characters of an error or a note that are printed.
const LONGEST: usize = 2000;

/// Prints an error as one line on standard error.
pub fn error(error: &anyhow::Error) {
    to_stderr(format_args!("error: {}", one_line(format_args!("{error:#}"))));
}

/// Prints what a panic said on standard error.
pub fn panic(text: impl Display) {
    to_stderr(text);
}

/// Prints a note as one line on standard error.
pub fn note(text: impl Display) {
    to_stderr(format_args!("note: {}", one_line(text)));
}

/// Says in one line on standard error what is left out, and why.
pub fn skipped(what: impl Display, reason: impl Display) {
    to_stderr(format_args!("skipped: {}", one_line(format_args!("{what}: {reason}"))));
}

/// A text that may quote a file, on one line: lines are joined, control characters escaped, and a long text is cut.
fn one_line(text: impl Display) -> String {
    stratigraph_core::shown(&OneLine(text.to_string()).to_string()).within(LONGEST).to_string()
}

/// An error is ignored here: there is nowhere to report that standard error is closed.
fn to_stderr(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A text with its lines joined by spaces.
struct OneLine(String);

impl Display for OneLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let lines = self.0.lines().map(str::trim).filter(|line| !line.is_empty());
        f.write_str(&lines.collect::<Vec<_>>().join(" "))
    }
}

/// Says which files were written, one per line.
///
/// # Errors
/// As [`line`].
pub fn written<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<()> {
    paths.into_iter().try_for_each(|path| line(format_args!("wrote {}", path.as_ref().display())))
}

/// A bar on standard error, which is hidden where that is not a terminal.
pub fn bar() -> Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {percent:>3}%, {eta} left")?))
}

/// A count of what is done, if the total is not known.
pub fn count_bar(what: &'static str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{{pos}} {what}, {{elapsed}}"))?;
    Ok(ProgressBar::new(0).with_style(style))
}

/// A bar for a download.
pub fn download_bar() -> Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes}")?))
}

/// Shows progress on a bar.
pub fn shown(bar: &ProgressBar) -> impl FnMut(Progress) {
    |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    }
}

/// Makes sure before the work begins that a new file or directory can be written at its end; the directory that it will lie in is
/// created.
///
/// # Errors
/// When it is there already or cannot be made.
pub fn check_new(path: &Path) -> Result<()> {
    let created = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create_new(path));
    created.and_then(|_| fs::remove_file(path)).with_context(|| cannot_write(path))
}

/// Refuses one path for two files.
///
/// # Errors
/// When the paths of two options, each with its name, are the same.
pub fn check_distinct(files: [(&str, Option<&Path>); 2]) -> Result<()> {
    let [(one, a), (other, b)] = files;
    match a.zip(b).filter(|(a, b)| std::path::absolute(a).ok() == std::path::absolute(b).ok()) {
        Some((path, _)) => bail!("{one} and {other} are both {}; give each a file of its own", path.display()),
        None => Ok(()),
    }
}

/// A new CSV file, which is written at the end.
pub struct CsvFile {
    path: PathBuf,
}

impl CsvFile {
    /// Makes sure before the work begins that the file can be written.
    ///
    /// # Errors
    /// When it is there already or cannot be made.
    pub fn new(path: &Path) -> Result<Self> {
        check_new(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Writes the file, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<PathBuf> {
        let cannot = || cannot_write(&self.path);
        let mut writer = csv::Writer::from_writer(File::create_new(&self.path).with_context(cannot)?);
        writer.write_record(header).with_context(cannot)?;
        rows.into_iter().try_for_each(|row| writer.write_record(row)).with_context(cannot)?;
        writer.flush().with_context(cannot)?;
        Ok(self.path)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// A number as a cell; empty where there is none.
pub fn cell(number: Option<f64>) -> String {
    number.filter(|number| !number.is_nan()).map(|number| number.to_string()).unwrap_or_default()
}

/// A number of bytes as people read it.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// The arguments of the program, for the record.
pub fn command() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_notes_are_one_line_without_control_characters() {
        assert_eq!(one_line("a\n\n  b\n\u{1b}[31m"), "a b \\u{1b}[31m");
        assert_eq!(one_line("x".repeat(3000)).len(), LONGEST + "... (3000 bytes)".len());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            [0, 999, 1_000, 134_515_008, 5_000_000_000].map(size),
            ["0 bytes", "999 bytes", "1.0 kB", "134.5 MB", "5.0 GB"]
        );
    }

    #[test]
    fn a_csv_file_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let rows = [vec!["1".to_owned(), cell(None)], vec!["2".to_owned(), cell(Some(0.5))]];
        CsvFile::new(&path).unwrap().write(&["n", "x"], rows).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "n,x\n1,\n2,0.5\n");
        assert!(CsvFile::new(&path).is_err());
    }

    #[test]
    fn a_new_file_is_tried_before_the_work_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/lens.safetensors");
        check_new(&path).unwrap();
        assert!(dir.path().join("new").is_dir() && !path.exists());
        fs::write(&path, "").unwrap();
        assert!(check_new(&path).is_err() && check_new(&path.join("below a file")).is_err());
    }

    #[test]
    fn two_files_have_two_paths() {
        let [a, same, b] = ["a.csv", "./a.csv", "b.csv"].map(Path::new);
        assert!(check_distinct([("--csv", Some(a)), ("--json", Some(b))]).is_ok());
        assert!(check_distinct([("--csv", Some(a)), ("--json", None)]).is_ok());
        let error = check_distinct([("--csv", Some(a)), ("--json", Some(same))]).unwrap_err().to_string();
        assert!(error.starts_with("--csv and --json are both a.csv"), "{error}");
    }
}
