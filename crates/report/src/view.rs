//! The stages of a profile as they are shaded in figures: [`bands`].

use stratigraph_profile::{Profile, Segmentation, StageSpan};

use crate::figure::Band;

/// A band for each stage; none where no stages were found.
pub(crate) fn bands(profile: &Profile) -> Vec<Band> {
    let Some(found) = &profile.stages else { return Vec::new() };
    found.stages.iter().map(|span| band(found, span)).collect()
}

fn band(found: &Segmentation, span: &StageSpan) -> Band {
    let band = Band::layers(span.stage.to_string(), span.stage as usize, span.first, span.end);
    let text = format!("{}: {}", span.stage, span.layers());
    match found.start_interval(span) {
        None => band.with_text(text),
        Some(it) => band.with_text(format!("{text}\n{}", it.in_words(span.first))).with_start_interval(it.low, it.high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, segmentation};

    #[test]
    fn stages_become_bands_with_their_intervals() {
        let mut profile = profile(6, &[]);
        assert!(bands(&profile).is_empty());
        profile.stages = Some(segmentation(6));
        let bands = bands(&profile);
        let all: Vec<_> = bands.iter().map(|band| (band.colour, band.range, band.start_interval)).collect();
        assert_eq!(all, [(0, (-0.5, 0.5), None), (3, (0.5, 5.5), Some((0.5, 1.5)))]);
        assert!(bands[1].text.contains("95 % interval: layers 1 to 2"), "{}", bands[1].text);
    }
}
