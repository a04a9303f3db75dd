//! A directory of results: [`OutDir`] with `profile.json`, `layers.csv`, `interventions.csv`, `report.html`
//! and `figures/*.svg`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use stratigraph_stages::{Estimate, Intervention, Profile};

use crate::{ReportError, Result, valid};

/// An empty directory that results go to.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// Makes the directory, or takes one that is empty, and tries that it can be written.
    ///
    /// # Errors
    /// When it holds something or cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| ReportError::io(path, error);
        fs::create_dir_all(path).map_err(failed)?;
        if fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(ReportError::NotEmpty { path: path.to_owned() });
        }
        let probe = path.join(".stratigraph");
        fs::write(&probe, []).and_then(|()| fs::remove_file(&probe)).map_err(failed)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes every file and returns their paths.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, profile: &Profile, interventions: &[Intervention]) -> Result<Vec<PathBuf>> {
        let mut json = serde_json::to_vec_pretty(profile).expect("a profile is plain data");
        json.push(b'\n');
        let files = [
            ("profile.json".to_owned(), json),
            ("layers.csv".to_owned(), layers_csv(profile)),
            ("interventions.csv".to_owned(), interventions_csv(interventions)),
            ("report.html".to_owned(), crate::Page::new(profile, interventions).to_string().into_bytes()),
        ];
        let pictures = crate::figures(profile).into_iter();
        let pictures = pictures.map(|figure| (format!("figures/{}.svg", figure.name), figure.to_string().into_bytes()));
        files.into_iter().chain(pictures).map(|(name, content)| self.write_file(&name, &content)).collect()
    }

    /// Writes one file more, and returns its path.
    ///
    /// # Errors
    /// When it is there already or cannot be written.
    pub fn write_file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        write_new(self.path.join(name), content)
    }
}

/// Writes a file that is not there yet, and its directory.
pub(crate) fn write_new(path: PathBuf, content: &[u8]) -> Result<PathBuf> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    let created = directory.and_then(|()| File::options().write(true).create_new(true).open(&path));
    created.and_then(|mut file| file.write_all(content)).map_err(|error| ReportError::io(&path, error))?;
    Ok(path)
}

/// Reads a `profile.json`.
///
/// # Errors
/// When the file cannot be read, or is not a profile: not of its form, or with layers that its model does not have.
pub fn read_profile(path: impl AsRef<Path>) -> Result<Profile> {
    let path = path.as_ref();
    let json = fs::read(path).map_err(|reason| ReportError::CannotRead { path: path.to_owned(), reason })?;
    let not_a_profile = |reason| ReportError::NotAProfile { path: path.to_owned(), reason };
    let profile = serde_json::from_slice(&json).map_err(|reason| not_a_profile(reason.into()))?;
    valid::checked(profile).map_err(|reason| not_a_profile(reason.into()))
}

/// A row a layer: every curve's mean and standard error there. A curve that ends earlier leaves its cells empty. What a
/// curve of places has behind the last layer stands in a row `end`, which is there when there is such a curve.
fn layers_csv(profile: &Profile) -> Vec<u8> {
    let names = profile.curves.keys().flat_map(|name| [name.clone(), format!("{name}_sem")]);
    let header = std::iter::once("layer".to_owned()).chain(names).collect();
    let n_layers = profile.model.n_layers;
    let row = |layer: usize| {
        let cells = profile.curves.values().flat_map(|curve| {
            let sem = curve.sem.get(layer).copied().flatten();
            [number(curve.mean.get(layer).copied()), number(sem)]
        });
        let name = if layer < n_layers { layer.to_string() } else { "end".to_owned() };
        std::iter::once(name).chain(cells).collect()
    };
    let n_rows = n_layers + usize::from(profile.curves.values().any(|curve| curve.len() > n_layers));
    csv(header, (0..n_rows).map(row))
}

/// A row an intervention: what was done, and every metric's mean and standard error.
fn interventions_csv(interventions: &[Intervention]) -> Vec<u8> {
    let metrics: Vec<_> = interventions.first().map(|first| first.metrics.keys().collect()).unwrap_or_default();
    let names = metrics.iter().flat_map(|name| [name.to_string(), format!("{name}_sem")]);
    let header = ["intervention", "layer", "plan"].map(str::to_owned).into_iter().chain(names).collect();
    let row = |intervention: &Intervention| {
        let cells = metrics.iter().flat_map(|&name| {
            let estimate: Option<&Estimate> = intervention.metrics.get(name);
            [number(estimate.map(|e| e.mean)), number(estimate.and_then(|e| e.sem))]
        });
        let layer = intervention.layer.map(|layer| layer.to_string()).unwrap_or_default();
        [intervention.kind.to_string(), layer, intervention.plan.clone()].into_iter().chain(cells).collect()
    };
    csv(header, interventions.iter().map(row))
}

fn number(value: Option<f64>) -> String {
    value.filter(|value| !value.is_nan()).map(|value| value.to_string()).unwrap_or_default()
}

fn csv(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let rows = std::iter::once(header).chain(rows);
    rows.for_each(|row| writer.write_record(row).expect("rows of one length go into memory"));
    writer.into_inner().expect("memory can be written")
}

#[cfg(test)]
mod tests {
    use stratigraph_stages::{Axis, Matrix};

    use super::*;

    fn profile() -> Profile {
        let curves: [(&str, &[f64]); 3] =
            [("delete_kl", &[0.5, 0.25]), ("lens_kl", &[3.0, 1.0, 0.0]), ("swap_kl", &[0.125])];
        let mut profile = crate::testing::profile(2, &curves);
        profile.curves.values_mut().for_each(|curve| curve.sem.fill(None));
        profile
    }

    #[test]
    fn a_row_a_layer_and_empty_cells_where_a_curve_ends() {
        let text = String::from_utf8(layers_csv(&profile())).unwrap();
        let expected = "layer,delete_kl,delete_kl_sem,lens_kl,lens_kl_sem,swap_kl,swap_kl_sem\n\
                        0,0.5,,3,,0.125,\n1,0.25,,1,,,\nend,,,0,,,\n";
        assert_eq!(text, expected);
        let mut profile = profile();
        profile.curves.remove("lens_kl");
        assert_eq!(String::from_utf8(layers_csv(&profile)).unwrap().lines().count(), 3);
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let out = OutDir::create(dir.path().join("new/place")).unwrap();
        out.write(&profile(), &[]).unwrap();
        let again = OutDir::create(out.path());
        assert!(matches!(again, Err(ReportError::NotEmpty { .. })));
        let read: Profile = serde_json::from_slice(&fs::read(out.path().join("profile.json")).unwrap()).unwrap();
        assert_eq!(read.curves["lens_kl"].mean, [3.0, 1.0, 0.0]);
    }

    #[test]
    fn a_profile_is_read_back_as_it_was_written() {
        let mut profile = profile();
        profile.curves.get_mut("lens_kl").unwrap().mean[1] = f64::NAN;
        profile.curves.get_mut("delete_kl").unwrap().sem = vec![Some(0.1 + 0.2), None];
        profile.values.insert("clean_nll".into(), Estimate { mean: f64::NAN, sem: None });
        profile.values.insert("tiny".into(), Estimate { mean: 5e-324, sem: Some(1.0 / 3.0) });
        let matrix = Matrix {
            rows: Axis::counting("place", 2),
            columns: Axis::counting("place", 2),
            unit: "CKA".into(),
            values: vec![vec![1.0, f64::NAN], vec![f64::MAX, -0.0]],
        };
        profile.matrices.insert("cka".into(), matrix);
        profile.stages = Some(crate::testing::segmentation(2));
        profile.command = ["a", "b \"c\"", ""].map(String::from).into();
        let dir = tempfile::tempdir().unwrap();
        let out = OutDir::create(dir.path().join("a name \"with\" <odd> & things")).unwrap();
        let written = out.write(&profile, &[]).unwrap();
        let read = read_profile(&written[0]).unwrap();
        assert!(read.curves["lens_kl"].mean[1].is_nan() && read.values["clean_nll"].mean.is_nan());
        assert!(read.matrices["cka"].values[0][1].is_nan());
        // NaN is unequal to itself, but prints as it is.
        assert_eq!(format!("{read:?}"), format!("{profile:?}"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        assert!(matches!(read_profile(&path), Err(ReportError::CannotRead { .. })));
        fs::write(&path, "{}").unwrap();
        assert!(read_profile(&path).unwrap_err().to_string().contains("profile.json is not a profile"));
        let mut profile = profile();
        profile.model.n_layers = 1;
        fs::write(&path, serde_json::to_vec(&profile).unwrap()).unwrap();
        let refused = read_profile(&path).unwrap_err();
        assert!(
            matches!(refused, ReportError::NotAProfile { .. }) && refused.to_string().contains("lens_kl"),
            "{refused}"
        );
    }

    #[test]
    fn a_file_is_no_place_for_results() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(OutDir::create(file.path()), Err(ReportError::Io { .. })));
    }
}
