//! The stages of a profile as they are shaded in figures: [`bands`].

use stratigraph_profile::{Profile, Segmentation, Shape, StageSpan};

use crate::figure::Band;

/// A band for each stage; none where no stages were found.
pub(crate) fn bands(profile: &Profile) -> Vec<Band> {
    let Some(found) = &profile.stages else { return Vec::new() };
    found.stages.iter().map(|span| band(found, span)).collect()
}

fn band(found: &Segmentation, span: &StageSpan) -> Band {
    let band = Band::layers(span.stage.to_string(), span.stage as usize, span.first, span.end);
    let text = format!("{}: {}", span.stage, span.layers());
    let Some(start) = found.start(span) else { return band.with_text(text) };
    let mut band = band.with_text(format!("{text}\n{}", start.in_words()));
    if let Some(it) = start.interval {
        band = band.with_start_interval(it.low, it.high);
    }
    if let Some(it) = start.rules {
        band = band.with_start_by_rules(it.low, it.high);
    }
    match start.transition {
        Some(it) if it.shape == Shape::Gradual => {
            let [from, to] = gradient(found, span, it.span());
            band.with_gradient(from, to)
        }
        Some(it) if it.shape == Shape::Sharp => band.sharp(),
        _ => band,
    }
}

/// A gradient that ends before the middles of the two stages, so that each keeps its colour.
pub(crate) fn gradient(found: &Segmentation, span: &StageSpan, [from, to]: [f64; 2]) -> [f64; 2] {
    let middle = |span: &StageSpan| (span.first + span.end) as f64 / 2.0 - 0.5;
    let before = found.stages.iter().find(|it| it.end == span.first);
    [before.map_or(from, |it| from.max(middle(it))), to.min(middle(span))]
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
