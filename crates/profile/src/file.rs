//! Profiles as JSON: [`Format`], the version of the file, and how [`Profile`]s are read and written.

use std::fs;
use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Profile, ProfileError, Result, migrate};

/// The newest version of the file's form, which is written. Files of version 1 do not name their version. Version 2 lacks what
/// errors are over and most of the corpus record, its CKA is of evenly spaced positions, and its Word-in-Context probes were
/// cross-validated by pair instead of by word.
const NEWEST: u64 = 3;

/// The `format` of a file, of which only the newest is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u64(NEWEST)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            2 | NEWEST => Ok(Format),
            found => Err(D::Error::custom(format!("format {found} has to be read with Profile::from_json"))),
        }
    }
}

impl Profile {
    /// Reads a `profile.json`, of this version or an earlier one.
    ///
    /// # Errors
    /// When the file cannot be read, is not a profile or one of a newer version, or its parts do not fit each other.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let json = fs::read(path).map_err(|reason| ProfileError::CannotRead { path: path.to_owned(), reason })?;
        Self::from_slice(&json).map_err(|error| error.in_file(path))
    }

    /// A profile from JSON, of this version or an earlier one.
    ///
    /// # Errors
    /// When the text is not a profile or one of a newer version, or its parts do not fit each other.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::from_slice(json.as_bytes())
    }

    fn from_slice(json: &[u8]) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_slice(json)?;
        let profile = match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found > NEWEST => return Err(ProfileError::NewerFormat { found, newest: NEWEST }),
            Some(2 | NEWEST) => serde_json::from_value(value)?,
            _ => migrate::from_version_1(value)?,
        };
        let profile = migrate::with_current_names(profile);
        profile.check()?;
        Ok(profile)
    }

    /// The profile as JSON with line breaks. NaN is written as `null`.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a profile is plain data") + "\n"
    }

    /// Writes the profile to a file that does not exist yet.
    ///
    /// # Errors
    /// When its parts do not fit each other, or the file exists or cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.check()?;
        let cannot_write = |reason| ProfileError::CannotWrite { path: path.to_owned(), reason };
        let mut file = fs::File::create_new(path).map_err(cannot_write)?;
        std::io::Write::write_all(&mut file, self.to_json().as_bytes()).map_err(cannot_write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Axis, CorpusRecord, Curve, Estimate, GroupRecord, InterventionRecord, Matrix, ModelRecord, SamplingRecord, Unit,
    };

    fn profile() -> Profile {
        let matrix =
            Matrix::new(Axis::layers(2), Axis::heads(2), "weight".into(), vec![vec![1.0, f64::NAN], vec![-0.0, 2.0]]);
        let sem = vec![Some(0.1 + 0.2), None, None];
        let digits = GroupRecord::new("digit", 7).with_metric("nll", Estimate::new(1.5, Some(0.25)));
        let groups = vec![digits, GroupRecord::new("other", 0)];
        Profile::new(ModelRecord::new("m", 2, 4, 8), CorpusRecord::new("c", 3, 5))
            .with_command(["a", "b \"c\"", ""].map(String::from).into())
            .with_value("tiny", Estimate::new(5e-324, Some(1.0 / 3.0)))
            .with_value("none", Estimate::exact(f64::NAN))
            .with_intervention(InterventionRecord::in_sweep("delete", 1, "0").with_metric("kl", Estimate::exact(1.5)))
            .with_intervention(InterventionRecord::clean("0-1").with_groups("class", groups))
            .with_curve(
                "lens_kl",
                Curve::new(Axis::residual_positions(2), Unit::Nats, vec![3.0, f64::NAN, 0.0]).with_sem(sem),
            )
            .and_then(|it| it.with_matrix("mine", matrix))
            .unwrap()
    }

    #[test]
    fn a_profile_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a name \"with\" <odd> & things.json");
        profile().write(&path).unwrap();
        // NaN is not equal to itself, but prints as it is.
        assert_eq!(format!("{:?}", Profile::read(&path).unwrap()), format!("{:?}", profile()));
        assert!(matches!(profile().write(&path), Err(ProfileError::CannotWrite { .. })));
        assert!(matches!(Profile::read(dir.path().join("none.json")), Err(ProfileError::CannotRead { .. })));
        assert_eq!(profile().interventions[0].name, "delete 1");
        let json = profile().to_json();
        assert_eq!(json.matches("\"groups\"").count(), 1, "what has no groups does not mention them: {json}");
    }

    #[test]
    fn what_older_versions_called_otherwise_has_its_present_name() {
        let curve = Curve::new(Axis::layers(2), Unit::Nats, vec![3.0, 0.5]);
        let old = profile()
            .with_intervention(InterventionRecord::in_sweep("delete_from_1", 0, "0-1"))
            .with_intervention(InterventionRecord::new("delete_from_1", "0"))
            .with_curve("delete_from_1_kl", curve.clone())
            .and_then(|it| it.with_curve("delete_from_12_kl", curve.clone()))
            .unwrap();
        let read = Profile::from_json(&old.to_json()).unwrap();
        assert!(read.curves.contains_key("delete_after_first_kl") && !read.curves.contains_key("delete_from_1_kl"));
        assert_eq!(read.curve("delete_from_1_kl").unwrap(), &curve);
        assert_eq!(read.curve("delete_from_12_kl").unwrap(), &curve);
        let names: Vec<_> = read.interventions.iter().map(|it| (it.name.as_str(), it.sweep.as_deref())).collect();
        let of_sweep = ("delete_after_first 0", Some("delete_after_first"));
        assert_eq!(names, [("delete 1", Some("delete")), ("clean", None), of_sweep, ("delete_from_1", None)]);
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let json = profile().to_json();
        assert!(json.contains("\"format\": 3"));
        let error = Profile::from_json(&json.replacen("\"format\": 3", "\"format\": 4", 1)).unwrap_err().to_string();
        assert!(error.contains("format 4") && error.contains("update Stratigraph"), "{error}");
        assert!(matches!(Profile::from_json("{}"), Err(ProfileError::Json(_))));
        assert!(matches!(Profile::from_json("[1"), Err(ProfileError::Json(_))));
    }

    #[test]
    fn a_profile_says_its_precision_and_an_older_one_is_f32() {
        let mut half = profile();
        half.model = half.model.with_precision("bf16");
        let json = half.to_json();
        assert_eq!(Profile::from_json(&json).unwrap().model.precision, "bf16");
        let older = json.replacen(",\n    \"precision\": \"bf16\"", "", 1);
        assert_ne!(older, json);
        assert_eq!(Profile::from_json(&older).unwrap().model, profile().model);
    }

    #[test]
    fn the_second_version_is_read() {
        let json = profile().to_json().replacen("\"format\": 3", "\"format\": 2", 1);
        let read = Profile::from_json(&json).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", profile()));
        assert!(!json.contains("documents") && !json.contains("\"errors\""), "what is not known is not mentioned");
    }

    #[test]
    fn the_corpus_record_is_read_back_and_fits_its_windows() {
        let mut with_record = profile();
        with_record.corpus = CorpusRecord::new("c", 3, 5)
            .with_documents(vec![0, 0, 1])
            .with_sampling(SamplingRecord::new("random over documents", 9))
            .with_bos(1)
            .with_skip_first(2);
        let read = Profile::from_json(&with_record.to_json()).unwrap();
        assert_eq!(read.corpus, with_record.corpus);
        with_record.corpus.documents.pop();
        assert!(matches!(with_record.check(), Err(ProfileError::OtherDocuments { found: 2, n_sequences: 3 })));
    }

    #[test]
    fn a_file_with_a_fault_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.json");
        fs::write(&path, profile().to_json().replacen("\"n_layers\": 2", "\"n_layers\": 3", 1)).unwrap();
        let error = Profile::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("profile.json is not a valid profile") && error.contains("model of 2 layers"),
            "{error}"
        );
    }
}
