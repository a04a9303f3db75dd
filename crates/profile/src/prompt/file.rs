//! Readings of prompts as JSON: [`Format`], and how a [`PromptReading`] is read and written.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::PromptReading;
use crate::{Axis, Matrix, ProfileError, Result};

/// The newest version of the file's form.
const NEWEST: u64 = 1;

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
            NEWEST => Ok(Format),
            found => Err(D::Error::custom(format!("a prompt's reading of format {found} is not known"))),
        }
    }
}

impl PromptReading {
    /// A reading from the JSON of `prompt.json`.
    ///
    /// # Errors
    /// When the text is not a reading or one of a newer version, or its parts do not fit each other.
    pub fn from_json(json: &str) -> Result<Self> {
        let reading: Self = serde_json::from_str(json)?;
        reading.check()?;
        Ok(reading)
    }

    /// The reading as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a reading is plain data") + "\n"
    }

    /// Refuses parts that do not fit the model and the prompt.
    ///
    /// # Errors
    /// [`ProfileError::PromptShape`] with the first such part.
    pub fn check(&self) -> Result<()> {
        let (n_layers, n) = (self.model.n_layers, self.tokens.len());
        let fits = |what: &str, fits: bool| match fits {
            true => Ok(()),
            false => Err(ProfileError::PromptShape { what: what.to_owned(), n_layers, n_tokens: n }),
        };
        for grid in &self.lenses {
            let rows = grid.rows.len() == n_layers + 1 && grid.rows.iter().all(|row| row.is_empty() || row.len() == n);
            fits(&format!("the grid of the {}", grid.title), rows)?;
        }
        if let Some(deletion) = &self.deletion {
            let are = |rows: &[Vec<f64>], width| rows.len() == n_layers && rows.iter().all(|row| row.len() == width);
            fits("the deletion of layers", are(&deletion.kl, n) && are(&deletion.loss_change, n.saturating_sub(1)))?;
        }
        if let Some(attention) = &self.attention {
            let whole = attention.n_tokens == n && attention.patterns.len() == n_layers && attention.is_whole();
            fits("the attention", whole)?;
        }
        if let Some(attribution) = &self.attribution {
            fits("the attribution", attribution.position < n && attribution.layers.len() == n_layers)?;
        }
        if let Some(patching) = &self.patching {
            let is_map = |map: &Matrix| {
                let n_columns = map.columns.len();
                let is_known = matches!(map.columns, Axis::Heads { .. }) || n_columns == n;
                is_known && map.values.len() == n_layers && map.values.iter().all(|row| row.len() == n_columns)
            };
            fits("the patching maps", patching.corrupted.len() == n && patching.maps.values().all(is_map))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{
        AttentionPatterns, DeletionGrid, DifferenceAttribution, LayerAttribution, LensCell, LensGrid, LikelyToken,
        NeuronAttribution, PatchingMaps,
    };
    use crate::{ModelRecord, Unit};

    fn reading() -> PromptReading {
        let cell = LensCell::new(vec![LikelyToken::new(7, 0.1 + 0.2)]).with_nll(Some(1.0 / 3.0)).with_output(12, 1e-9);
        let mut attention = AttentionPatterns::new(2, 1);
        attention.push_layer([&[1.0, 0.0, 0.5, 0.5][..]]);
        let layer = LayerAttribution::new(1.5, -0.5).with_heads(vec![1.25], 0.25);
        let map = Matrix::new(Axis::layers(1), Axis::heads(1), Unit::Fraction, vec![vec![0.5]]);
        let mut reading = PromptReading::new(ModelRecord::new("m", 1, 4, 8), vec![3, 5])
            .with_text(3, "\" <a>")
            .with_record("flex", vec!["a".to_owned()])
            .with_lens(LensGrid::new("lens", "logit lens", vec![vec![cell.clone(), cell], Vec::new()]));
        reading.deletion = Some(DeletionGrid::new(vec![vec![1.0, 2.0]], vec![vec![-0.5]]));
        reading.attention = Some(attention);
        let attribution = DifferenceAttribution::new(1, [7, 2], 2.0).with_embedding(0.75, 0.25).with_layer(layer);
        reading.attribution = Some(attribution.with_neurons(vec![NeuronAttribution::new(0, 9, -0.5)]));
        reading.patching =
            Some(PatchingMaps::new(vec![3, 6], [7, 2], [2.0, -1.0]).with_map("patch_z_heads_denoise", map));
        reading
    }

    #[test]
    fn a_reading_is_read_back_as_it_was_written() {
        let reading = reading();
        assert_eq!(PromptReading::from_json(&reading.to_json()).unwrap(), reading);
        assert_eq!(reading.mentioned(), [2, 3, 5, 6, 7]);
        assert_eq!(reading.attribution.as_ref().unwrap().sum(), 2.0);
        assert_eq!(reading.prompt(), "\" <a>#5");
        assert_eq!(reading.clone().beginning_with_bos(true).prompt(), "#5");
        let newer = reading.to_json().replacen("\"format\":1", "\"format\":2", 1);
        assert!(PromptReading::from_json(&newer).unwrap_err().to_string().contains("format 2"));
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let refused = |change: fn(&mut PromptReading)| {
            let mut reading = reading();
            change(&mut reading);
            PromptReading::from_json(&reading.to_json()).unwrap_err().to_string()
        };
        let grid = refused(|it| it.lenses[0].rows[0].truncate(1));
        assert_eq!(grid, "the grid of the logit lens does not fit a model of 1 layers and a prompt of 2 tokens");
        assert!(refused(|it| it.deletion.as_mut().unwrap().loss_change[0].push(1.0)).contains("deletion"));
        assert!(refused(|it| it.attention.as_mut().unwrap().patterns[0][0].push('A')).contains("attention"));
        assert!(refused(|it| it.attribution.as_mut().unwrap().position = 2).contains("attribution"));
        assert!(refused(|it| it.patching.as_mut().unwrap().corrupted.clear()).contains("patching"));
        assert!(refused(|it| it.model.n_layers = 2).contains("2 layers"));
    }

    #[test]
    fn a_patching_map_has_a_row_a_layer_and_a_column_a_head_or_token() {
        let is_refused = |n_layers: usize, columns: Axis, values: Vec<Vec<f64>>| {
            let mut reading = PromptReading::new(ModelRecord::new("m", n_layers, 4, 8), vec![3, 5]);
            let map = Matrix::new(Axis::layers(n_layers), columns, Unit::Fraction, values);
            reading.patching = Some(PatchingMaps::new(vec![3, 6], [7, 2], [2.0, -1.0]).with_map("patch", map));
            reading.check().is_err()
        };
        let positions = |n: usize| Axis::labelled("position", (0..n).map(|at| at.to_string()));
        assert!(!is_refused(1, positions(2), vec![vec![0.5; 2]]) && !is_refused(1, Axis::heads(3), vec![vec![0.5; 3]]));
        assert!(!is_refused(0, positions(2), Vec::new()), "a model without layers");
        assert!(is_refused(1, positions(3), vec![vec![0.5; 3]]), "a column that is no token");
        assert!(is_refused(2, positions(2), vec![vec![0.5; 2], vec![0.5]]), "a row that is too short");
        assert!(is_refused(1, positions(2), Vec::new()), "no row");
    }
}
