//! Everything about a profile in one directory: [`Report`].

use std::path::{Path, PathBuf};

use stratigraph_profile::Profile;

use crate::figure::Figure;
use crate::page::{Page, PromptLink};
use crate::{Bands, OutDir, ReportError, Result, csv};

/// Ids of the page's own sections.
const SECTIONS: [&str; 5] = ["summary", "stages", "prompts", "numbers", "models"];

/// A page, figures and tables of a profile.
pub struct Report<'a> {
    profile: &'a Profile,
    own: Vec<Figure>,
    prompts: Vec<PromptLink>,
    bands: Bands,
}

impl<'a> Report<'a> {
    /// The report of a profile, with the figures that it has numbers for.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile, own: Vec::new(), prompts: Vec::new(), bands: Bands::default() }
    }

    /// Adds a link to the [page of a prompt](crate::PromptPage), such as that of a window of the corpus.
    pub fn with_prompt(mut self, link: PromptLink) -> Self {
        self.prompts.push(link);
        self
    }

    /// Adds a figure after those of the profile. Where it runs over depth and has no bands, the profile's stages are shaded.
    pub fn with_figure(mut self, figure: Figure) -> Self {
        self.own.push(figure);
        self
    }

    /// Sets what the bands around curves show, in the figures of the profile.
    pub fn with_bands(self, bands: Bands) -> Self {
        Self { bands, ..self }
    }

    /// All figures, in the order of the page.
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures = crate::figures(&self.bands.of(self.profile));
        let bands = crate::view::bands(self.profile);
        figures.extend(self.own.iter().cloned().map(|figure| figure.shaded(&bands)));
        figures
    }

    /// The page: HTML without a script, which opens offline.
    pub fn page(&self) -> String {
        Page::new(self.profile, self.figures()).with_prompts(&self.prompts).with_bands(self.bands).to_string()
    }

    /// Writes `profile.json`, `layers.csv`, `interventions.csv`, `report.html` and `figures/*.svg` into a new or empty
    /// directory, `curves.csv` for curves that do not run over depth, and `groups.csv` where positions are grouped. Returns the
    /// paths of the files.
    ///
    /// # Errors
    /// When the directory holds something or cannot be written, the parts of the profile do not fit each other, or the name of
    /// a figure cannot be used.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        self.check()?;
        self.write_to(&OutDir::create(path)?)
    }

    /// The same into a directory that was created before.
    ///
    /// # Errors
    /// When a file cannot be written, the parts of the profile do not fit each other, or the name of a figure cannot be used.
    pub fn write_to(&self, out: &OutDir) -> Result<Vec<PathBuf>> {
        let mut files = self.write_numbers(out)?;
        files.extend(self.write_page(out)?);
        Ok(files)
    }

    /// Writes the files of numbers alone, which need nothing but the profile, and returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written, or the parts of the profile do not fit each other.
    pub fn write_numbers(&self, out: &OutDir) -> Result<Vec<PathBuf>> {
        let profile = self.profile;
        profile.check()?;
        let mut files = vec![
            ("profile.json", profile.to_json().into_bytes()),
            ("layers.csv", csv::layers(profile)),
            ("interventions.csv", csv::interventions(&profile.interventions)),
        ];
        files.extend(csv::other_curves(profile).map(|content| ("curves.csv", content)));
        files.extend(csv::groups(&profile.interventions).map(|content| ("groups.csv", content)));
        files.into_iter().map(|(name, content)| out.write_file(name, &content)).collect()
    }

    /// Writes the page and the figures alone, and returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written, the parts of the profile do not fit each other, or the name of a figure cannot be used.
    pub fn write_page(&self, out: &OutDir) -> Result<Vec<PathBuf>> {
        self.check()?;
        let mut files = vec![("report.html".to_owned(), self.page().into_bytes())];
        let pictures = self.figures().into_iter();
        files.extend(pictures.map(|it| (format!("figures/{}.svg", it.name), it.to_string().into_bytes())));
        files.into_iter().map(|(name, content)| out.write_file(&name, &content)).collect()
    }

    fn check(&self) -> Result<()> {
        self.profile.check()?;
        let figures = self.figures();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        for (index, Figure { name, .. }) in figures.iter().enumerate() {
            let taken = SECTIONS.contains(&name.as_str()) || figures[..index].iter().any(|other| other.name == *name);
            if taken || name.is_empty() || !name.chars().all(plain) {
                return Err(ReportError::FigureName { name: name.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, Curve, Matrix, Unit};

    use super::*;
    use crate::figure::Panel;
    use crate::testing::{profile, segmentation};

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let profile = profile(2, &[("lens_kl", &[3.0, 1.0, 0.0])]);
        let (report, out) = (Report::new(&profile), dir.path().join("new/out"));
        let files = report.write(&out).unwrap();
        assert!(matches!(report.write(&out), Err(ReportError::NotEmpty { .. })));
        assert_eq!(Profile::read(&files[0]).unwrap(), profile);
        let mut names: Vec<_> = files.iter().map(|file| file.strip_prefix(&out).unwrap().to_str().unwrap()).collect();
        names.truncate(4);
        assert_eq!(names, ["profile.json", "layers.csv", "interventions.csv", "report.html"]);
    }

    #[test]
    fn a_figure_of_the_user_s_own_is_drawn_with_the_stages() {
        let mut profile = profile(4, &[("delete_kl", &[3.0, 1.0, 0.5, 2.0])]);
        profile.stages = Some(segmentation(4));
        let own = Curve::new(Axis::layers(4), Unit::from("volts"), vec![1.0, 2.0, 3.0, 4.0]).with_title("Tension <1>");
        let figure = |name: &str| Figure::new(name, "My own").with_panel(Panel::from_curve("tension", &own));
        let report = Report::new(&profile).with_figure(figure("tension"));
        assert_eq!(report.figures().last().unwrap().bands.len(), 2);
        let page = report.page();
        assert!(page.contains("<h2 id=\"tension-title\">My own</h2>") && page.contains("Tension &lt;1&gt;"), "{page}");
        for name in ["", "a b", "../up", "stages", "damage"] {
            let refused = Report::new(&profile).with_figure(figure(name)).write("never created");
            assert!(matches!(refused, Err(ReportError::FigureName { .. })), "{name}");
        }
        assert!(!Path::new("never created").exists());
    }

    #[test]
    fn pages_of_prompts_are_linked() {
        let profile = profile(2, &[("delete_kl", &[3.0, 1.0])]);
        let page = Report::new(&profile).page();
        assert!(!page.contains("id=\"prompts\""), "{page}");
        let link = PromptLink::new("prompts/window-3.html", "window 3", "a <deletion> costs 2.5 nats");
        let page = Report::new(&profile).with_prompt(link).page();
        assert!(
            page.contains("<a href=\"#prompts\">") && page.contains("<a href=\"prompts/window-3.html\">window 3</a>")
        );
        assert!(page.contains("a &lt;deletion&gt; costs 2.5 nats"), "{page}");
    }

    #[test]
    fn every_curve_and_matrix_is_drawn() {
        let profile = profile(2, &[("delete_kl", &[3.0, 1.0]), ("delete_nll", &[4.0, 3.0]), ("skip_kl", &[1.0, 2.0])]);
        let own = Curve::new(Axis::labelled("suffix", ["ing", "ed"]), Unit::Fraction, vec![0.5, 0.25]);
        let matrix = Matrix::new(Axis::heads(1), Axis::layers(2), Unit::Nats, vec![vec![0.5, 0.25]]).with_title("Mine");
        let profile = profile.with_curve("by_suffix", own).unwrap().with_matrix("mine", matrix).unwrap();
        let titles: Vec<_> = Report::new(&profile).figures().iter().flat_map(|it| it.panels.clone()).collect();
        let titles: Vec<_> = titles.iter().map(|panel| panel.title().to_owned()).collect();
        for title in ["Deleting a layer: loss", "by suffix", "skip: KL", "Mine"] {
            assert!(titles.contains(&title.to_owned()), "{title} is not among {titles:?}");
        }
    }

    #[test]
    fn a_profile_that_does_not_fit_its_model_is_refused() {
        let mut profile = profile(2, &[("delete_kl", &[3.0, 1.0])]);
        profile.model.n_layers = 3;
        let dir = tempfile::tempdir().unwrap();
        let refused = Report::new(&profile).write(dir.path().join("out"));
        assert!(matches!(refused, Err(ReportError::Profile(_))) && !dir.path().join("out").exists());
    }
}
