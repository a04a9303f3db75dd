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
    let mut band = band.with_text(format!("{text}\n{}", start.in_words(found.n_layers)));
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

/// How far a gradient reaches to each side of its boundary where there is no room for the transition.
const LEAST: f64 = 0.25;

/// Where a gradient is drawn between a stage and the one before it: within the transition, and between the middles of the two
/// stages, so that each keeps its colour. Where that leaves no room, it is a short one around the boundary.
pub(crate) fn gradient(found: &Segmentation, span: &StageSpan, [from, to]: [f64; 2]) -> [f64; 2] {
    let middle = |span: &StageSpan| (span.first + span.end) as f64 / 2.0 - 0.5;
    let before = found.stages.iter().find(|it| it.end == span.first);
    let drawn = [before.map_or(from, |it| from.max(middle(it))), to.min(middle(span))];
    let boundary = span.first as f64 - 0.5;
    if drawn[0] < drawn[1] { drawn } else { [boundary - LEAST, boundary + LEAST] }
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

    #[test]
    fn a_gradient_ends_at_the_middles_of_its_stages() {
        let found = segmentation(6); // stages in layers 0, and 1 to 5
        let last = &found.stages[1];
        assert_eq!(gradient(&found, last, [0.25, 1.5]), [0.25, 1.5]);
        assert_eq!(gradient(&found, last, [-2.0, 9.0]), [0.0, 3.0]);
        assert_eq!(gradient(&found, last, [3.5, 4.5]), [0.25, 0.75], "there is always one");
    }
}
