//! A sweep with axes of its own: [`skips`].

use stratigraph::prelude::*;

/// `skip`: two or three neighbouring layers left out, over how many and over where they begin.
pub fn skips() -> Sweep {
    Sweep::new("skip", |context| {
        let starts = context.shape.n_layers.saturating_sub(2);
        let axes = [Axis::labelled("layers left out", ["2", "3"]), Axis::counting("first layer", starts)];
        let points = [2, 3].into_iter().flat_map(|n| (0..starts).map(move |start| start..start + n));
        SweepPoints::new(context, axes, points.map(|block| context.full().delete_range(block)))
    })
}
