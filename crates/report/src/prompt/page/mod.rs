//! A prompt as one page that opens offline: [`PromptPage`].

mod attention;
mod attribution;
mod deletion;
mod lenses;
mod patching;
mod script;
mod shades;
mod tables;

use std::fmt::{self, Display, Write};
use std::path::{Path, PathBuf};

use stratigraph_profile::prompt::PromptReading;

use crate::page;
use crate::text::{Escaped, shortened};
use crate::{OutDir, Result};

/// The longest prompt in a heading, in characters.
const HEADING: usize = 160;

/// A reading of a prompt as one HTML page: the grid of each lens, what the deletion of each layer does after each token, where each
/// head looks, what raises one token's logit over another's, and maps of patching.
///
/// The page loads nothing from outside and allows no script but its own, whose hash is in its policy. Without the script it
/// shows the same numbers as tables. It follows the reader's light or dark setting and works on a phone.
///
/// ```
/// use stratigraph_profile::ModelRecord;
/// use stratigraph_profile::prompt::{LensCell, LensGrid, LikelyToken, PromptReading};
/// use stratigraph_report::PromptPage;
///
/// let rows = [0.25, 0.75].map(|p| vec![LensCell::new(vec![LikelyToken::new(7, p)])]);
/// let reading = PromptReading::new(ModelRecord::new("m", 1, 4, 8), vec![3])
///     .with_text(3, "The")
///     .with_text(7, " city")
///     .with_lens(LensGrid::new("lens", "logit lens", rows.into()));
/// let page = PromptPage::new(&reading).to_string();
/// assert!(page.contains("␣city") && page.contains("script-src 'sha256-"));
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("out");
/// let files = PromptPage::new(&reading).write(&directory)?; // prompt.html and prompt.json
/// assert_eq!(files.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PromptPage<'a> {
    reading: &'a PromptReading,
}

impl<'a> PromptPage<'a> {
    /// The page of a reading.
    pub fn new(reading: &'a PromptReading) -> Self {
        Self { reading }
    }

    /// Writes `prompt.html` and `prompt.json` into a new or empty directory, and returns their paths.
    ///
    /// # Errors
    /// When the directory holds something or cannot be written, or the parts of the reading do not fit each other.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        self.reading.check()?;
        self.write_to(&OutDir::create(path)?, "prompt")
    }

    /// The same as `NAME.html` and `NAME.json` into a directory that was created before; NAME may have directories before it.
    ///
    /// # Errors
    /// When a file exists or cannot be written, or the parts of the reading do not fit each other.
    pub fn write_to(&self, out: &OutDir, name: &str) -> Result<Vec<PathBuf>> {
        self.reading.check()?;
        let html = out.write_file(&format!("{name}.html"), self.to_string().as_bytes())?;
        let json = out.write_file(&format!("{name}.json"), self.reading.to_json().as_bytes())?;
        Ok(vec![html, json])
    }

    fn header(&self, f: &mut impl Write) -> fmt::Result {
        let it = self.reading;
        let prompt = shortened(it.prompt().trim(), HEADING);
        f.write_str("<header>\n<p class=\"kicker\">One prompt, layer by layer</p>\n")?;
        write!(f, "<h1>{}</h1>\n<dl class=\"facts\">\n", Escaped(&prompt))?;
        page::fact(f, "model", &it.model.name)?;
        let shape =
            format!("{} layers, width {}, vocabulary of {}", it.model.n_layers, it.model.d_model, it.model.d_vocab);
        page::fact(f, "shape", &shape)?;
        let bos = if it.has_bos { ", the first one BOS" } else { "" };
        page::fact(f, "tokens", &format!("{}{bos}", it.tokens.len()))?;
        if let Some(source) = &it.source {
            page::fact(f, "from", source)?;
        }
        page::fact(f, "device", &it.device)?;
        page::fact(f, "precision", &it.model.precision)?;
        page::fact(f, "versions", &page::facts::versions(&it.versions))?;
        f.write_str("</dl>\n")?;
        page::command(f, &it.command)?;
        self.contents(f)?;
        for remark in &it.remarks {
            writeln!(f, "<p class=\"soft\">{}.</p>", Escaped(remark))?;
        }
        f.write_str("</header>\n")
    }

    fn contents(&self, f: &mut impl Write) -> fmt::Result {
        let it = self.reading;
        let sections = [
            (!it.lenses.is_empty(), "lenses", "Lenses"),
            (it.deletion.is_some(), "deletion", "Deleted layers"),
            (it.attention.is_some(), "attention", "Attention"),
            (it.attribution.is_some(), "attribution", "Logit attribution"),
            (it.patching.is_some(), "patching", "Patching"),
        ];
        f.write_str("<nav aria-label=\"contents\">")?;
        for (_, id, title) in sections.into_iter().filter(|(is_there, ..)| *is_there) {
            write!(f, "<a href=\"#{id}\">{title}</a>")?;
        }
        f.write_str(
            "</nav>\n<p class=\"soft keyboard\" hidden>Arrow keys, Home and End move through a table; the bar at the ",
        )?;
        f.write_str("bottom says what the cell holds.</p>\n")
    }
}

impl Display for PromptPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.reading;
        let style = format!("{}{}", include_str!("style.css"), shades::style());
        let title = format!("{}: {}", shortened(it.prompt().trim(), 60), it.model.name);
        page::open_with(f, &title, &style, Some(&script::source()))?;
        self.header(f)?;
        f.write_str("<main>\n")?;
        lenses::section(f, it)?;
        it.deletion.iter().try_for_each(|found| deletion::section(f, it, found))?;
        it.attention.iter().try_for_each(|found| attention::section(f, it, found))?;
        it.attribution.iter().try_for_each(|found| attribution::section(f, it, found))?;
        it.patching.iter().try_for_each(|found| patching::section(f, it, found))?;
        f.write_str("</main>\n<output id=\"detail\" aria-live=\"polite\"></output>\n")?;
        f.write_str(
            "<footer>Made by Stratigraph. prompt.json, beside this page, has the numbers with all digits.</footer>\n",
        )?;
        write!(f, "<script>{}</script>\n</body>\n</html>\n", script::TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::reading;

    #[test]
    fn a_page_of_64_tokens_and_30_layers_is_smaller_than_3_mb() {
        let reading = reading(64, 30, 16);
        let page = PromptPage::new(&reading).to_string();
        assert!(page.len() < 3_000_000, "{} bytes", page.len());
    }

    #[test]
    fn nothing_is_asked_of_the_outside_and_text_is_escaped() {
        let page = PromptPage::new(&reading(12, 3, 2)).to_string();
        for outside in ["http:", "https:", "src=", "url(", "@import", "<link", "fetch(", "eval(", "␣<b>", "\u{1b}"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'") && page.matches("<script").count() == 1);
        assert!(page.contains("a &lt;model&gt; &amp; more") && page.contains("␣&lt;b&gt;"), "{page}");
        assert!(page.contains("neurons of layers 3 are left out: &lt;reason&gt;."));
        assert!(page.contains("<summary>One head, at all positions</summary>") && page.contains("(3.50)"), "{page}");
    }

    #[test]
    fn every_part_has_its_section_and_a_part_that_is_missing_has_none() {
        let whole = reading(6, 3, 2);
        let sections = |page: &str| -> Vec<String> {
            page.split("<section id=\"").skip(1).map(|it| it.split('"').next().unwrap().to_owned()).collect()
        };
        let page = PromptPage::new(&whole).to_string();
        assert_eq!(sections(&page), ["lenses", "deletion", "attention", "attribution", "patching"]);
        let mut lenses = whole.clone();
        (lenses.deletion, lenses.attention, lenses.attribution, lenses.patching) = (None, None, None, None);
        lenses.lenses[0].rows[1].clear();
        let page = PromptPage::new(&lenses).to_string();
        assert_eq!((sections(&page), page.matches("the lens has no map here").count()), (vec!["lenses".to_owned()], 1));
    }

    #[test]
    fn numbers_that_are_none_are_not_shown() {
        let mut reading = reading(4, 2, 1);
        reading.deletion.as_mut().unwrap().kl[0][1] = f64::NAN;
        reading.lenses[0].rows[0][0].kl = f64::INFINITY;
        let page = PromptPage::new(&reading).to_string();
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn parts_that_do_not_fit_are_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut broken = reading(4, 2, 1);
        broken.tokens.push(1);
        assert!(PromptPage::new(&broken).write(dir.path().join("out")).is_err() && !dir.path().join("out").exists());
        let files = PromptPage::new(&reading(4, 2, 1)).write(dir.path().join("out")).unwrap();
        let read = PromptReading::from_json(&std::fs::read_to_string(&files[1]).unwrap()).unwrap();
        assert_eq!(read, reading(4, 2, 1));
    }
}
