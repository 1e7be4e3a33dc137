//! Histograms of an image's bytes, from which its statistics follow exactly.

use super::ValueProfile;
use experience_core::schema::Column;

/// How often each byte occurs in each channel of an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ImageHistogram {
    /// The name of each channel: `camera[:, :, 0]`, as NumPy selects it.
    names: Vec<String>,
    channels: Vec<[u64; 256]>,
}

impl ImageHistogram {
    /// An empty histogram of the image `column`.
    pub(super) fn new(column: &Column) -> Self {
        let channels = column.shape.last().copied().unwrap_or(1);
        Self {
            names: (0..channels)
                .map(|channel| format!("{}[:, :, {channel}]", column.name))
                .collect(),
            channels: vec![[0; 256]; channels],
        }
    }

    /// Adds the pixels of an image.
    pub(super) fn add(&mut self, image: &[u8]) {
        for pixel in image.chunks_exact(self.channels.len()) {
            for (channel, byte) in self.channels.iter_mut().zip(pixel) {
                channel[usize::from(*byte)] += 1;
            }
        }
    }

    /// The statistics of each channel, over all pixels of all images.
    pub(super) fn profiles(&self) -> impl Iterator<Item = ValueProfile> {
        self.names
            .iter()
            .zip(&self.channels)
            .map(|(name, counts)| ValueProfile::of_bytes(name, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::schema::ImageShape;

    #[test]
    fn statistics_are_those_of_the_single_values() {
        let shape = ImageShape {
            height: 2,
            width: 3,
            channels: 2,
        };
        let mut histogram = ImageHistogram::new(&Column::image("eye", shape));
        let pixels = [0, 255, 3, 255, 7, 255, 3, 255, 200, 255, 3, 255];
        histogram.add(&pixels);
        let [red, green] = <[ValueProfile; 2]>::try_from(histogram.profiles().collect::<Vec<_>>()).unwrap();
        assert_eq!(
            (red.name.as_str(), green.name.as_str()),
            ("eye[:, :, 0]", "eye[:, :, 1]")
        );
        let mut expected = ValueProfile::default();
        pixels
            .iter()
            .step_by(2)
            .for_each(|value| expected.add(f64::from(*value)));
        assert_eq!((red.count, red.min, red.max), (6, 0.0, 200.0));
        assert!((red.mean - expected.mean).abs() < 1e-9 && (red.deviation - expected.deviation).abs() < 1e-9);
        assert!(green.is_constant());
    }
}
