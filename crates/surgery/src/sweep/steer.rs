//! Steering: a sweep that adds a vector to the residual stream.

use stratigraph_core::{Edit, EditValues, Hook, Positions};

use super::Sweep;

impl Sweep {
    /// `strength` times a vector added to the residual stream before each layer in turn (at `hook_resid_pre`), at some positions.
    /// The vector is `d_model` numbers, or values of each position or window, as of [`Edit::add`]. Curves are named after
    /// `name`, so name it after the direction.
    ///
    /// ```
    /// use stratigraph_core::ModelShape;
    /// use stratigraph_surgery::{Sweep, SweepContext};
    ///
    /// let direction = [0.6f32, 0.0, 0.8, 0.0];
    /// let sweep = Sweep::steer("sentiment", &direction[..], 1.., 10.0);
    /// let points = sweep.points(&SweepContext::new(ModelShape::new(3, 4, 50), 16))?;
    /// assert_eq!(points.interventions[2].name(), "sentiment 2");
    /// assert!(points.interventions[2].to_string().starts_with("0..3 | blocks.2.hook_resid_pre pos=1.. add(#"));
    /// # Ok::<(), stratigraph_surgery::SurgeryError>(())
    /// ```
    ///
    /// A run refuses a vector of another width, and numbers that are not finite.
    pub fn steer(
        name: impl Into<String>,
        vector: impl Into<EditValues>,
        positions: impl Into<Positions>,
        strength: f64,
    ) -> Self {
        let (values, positions) = (vector.into().scaled(strength), positions.into());
        Self::each_layer(name, move |_, layer| {
            Ok(Edit::add(Hook::ResidPre.at(layer), values.clone()).with_positions(positions.clone()))
        })
    }
}
