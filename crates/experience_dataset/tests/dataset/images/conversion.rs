//! Images in the formats of `convert`.

use super::{blind, dataset, seeing, shape};
use arrow_array::cast::AsArray;
use experience_core::{
    schema::{Column, Schema},
    transition::Episode,
};
use experience_dataset::{
    RecordingData,
    convert::{to_jsonl, to_lerobot},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
};
use tempfile::tempdir;

fn lines(recording: &RecordingData) -> Vec<Value> {
    let to = tempdir().unwrap();
    let path = to.path().join("lines.jsonl");
    to_jsonl(recording, &path, &mut |_| {}).unwrap();
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_hold_base64() {
    let (_root, recording, all) = dataset(blind());
    let lines = lines(&recording);
    assert!(lines[0].get("observation").is_none());
    for (line, transition) in lines.iter().zip(all.iter().flat_map(Episode::transitions)) {
        assert_eq!(decoded(&line["observation.eye"]).unwrap(), transition.image(0));
        let last = decoded(&line["next_observation.eye"]);
        assert_eq!(last.as_deref(), transition.is_last().then(|| transition.next_image(0)));
    }
}

/// Decodes base64 by its definition.
fn decoded(value: &Value) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut bytes) = ((0_u32, 0), Vec::new());
    for sign in value.as_str()?.bytes().filter(|sign| *sign != b'=') {
        let six = ALPHABET.iter().position(|letter| *letter == sign).unwrap() as u32;
        bits = (bits.0 << 6 | six, bits.1 + 6);
        if bits.1 >= 8 {
            bits.1 -= 8;
            bytes.push((bits.0 >> bits.1) as u8);
        }
    }
    Some(bytes)
}

#[cfg(not(feature = "png"))]
#[test]
fn lerobot_needs_the_feature_png() {
    let (_root, recording, _) = dataset(seeing());
    let to = tempdir().unwrap();
    let refused = to_lerobot(&recording, &to.path().join("l"), "win", None, &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("the image `eye`") && refused.contains("feature `png`"),
        "{refused}"
    );
}

#[cfg(feature = "png")]
mod lerobot {
    use super::*;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn json(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn images_are_png_files() {
        for schema in [seeing(), blind().with_action([Column::feature("turn")])] {
            let (_root, recording, all) = dataset(schema);
            let to = tempdir().unwrap();
            to_lerobot(&recording, to.path(), "win", None, &mut |_| {}).unwrap();
            let info = json(&to.path().join("meta/info.json"));
            let feature = &info["features"]["observation.images.eye"];
            assert_eq!(feature["dtype"], "image");
            assert_eq!(feature["names"], serde_json::json!(["height", "width", "channels"]));
            let has_state = all[0].schema().observation_width() > 0;
            assert_eq!(info["features"].get("observation.state").is_some(), has_state);
            let file = File::open(to.path().join("data/chunk-000/file-000.parquet")).unwrap();
            let batches: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(file)
                .unwrap()
                .build()
                .unwrap()
                .collect();
            let batch = batches[0].as_ref().unwrap();
            let names: Vec<_> = batch
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            let described: Vec<_> = info["features"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(names, described);
            let files = batch["observation.images.eye"].as_struct().column(0).as_binary::<i32>();
            for (file, transition) in files.iter().zip(all.iter().flat_map(Episode::transitions)) {
                let mut reader = png::Decoder::new(std::io::Cursor::new(file.unwrap()))
                    .read_info()
                    .unwrap();
                let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
                reader.next_frame(&mut pixels).unwrap();
                assert_eq!(pixels, transition.image(0));
            }
            let stats = json(&to.path().join("meta/stats.json"));
            let image = &stats["observation.images.eye"];
            assert_eq!(image["count"], serde_json::json!([60]));
            let mean = image["mean"][1][0][0].as_f64().unwrap();
            let profile = recording.profile(&mut |_| {}).unwrap();
            assert!((mean - profile.images[1].mean / 255.0).abs() < 1e-9);
        }
    }

    #[test]
    fn images_that_are_no_png_are_refused() {
        let act = [Column::feature("turn")];
        for (schema, what) in [
            (
                Schema::new("p").with_images([Column::image("planes", shape(8, 8, 12))]),
                "1 to 4 channels",
            ),
            (
                Schema::new("p").with_images([Column::image("a/b", shape(8, 8, 3))]),
                "rename it",
            ),
        ] {
            let (_root, recording, _) = dataset(schema.with_action(act.clone()));
            let to = tempdir().unwrap();
            let refused = to_lerobot(&recording, &to.path().join("l"), "win", None, &mut |_| {}).unwrap_err();
            assert!(refused.to_string().contains(what), "{refused}");
        }
    }
}

#[cfg(feature = "minari")]
#[test]
fn minari_has_a_box_of_bytes() {
    let act = [Column::feature("turn")];
    for schema in [seeing().with_action(act.clone()), blind().with_action(act.clone())] {
        let (_root, recording, all) = dataset(schema);
        let to = tempdir().unwrap();
        let path = experience_dataset::convert::to_minari(
            &recording,
            to.path(),
            "a/p-v0",
            experience_dataset::convert::MinariObservations::Lists,
            &mut |_| {},
        )
        .unwrap();
        let metadata: Value = serde_json::from_slice(&fs::read(path.join("data/metadata.json")).unwrap()).unwrap();
        let space: Value = serde_json::from_str(metadata["observation_space"].as_str().unwrap()).unwrap();
        let eye = &space["subspaces"]["observation.eye"];
        let shape = &all[0].schema().images()[0].shape;
        assert_eq!(
            (&eye["dtype"], &eye["shape"]),
            (&"uint8".into(), &serde_json::json!(shape))
        );
        assert_eq!(eye["high"][0][0], serde_json::json!([255, 255, 255]));
        let file = hdf5_pure::File::from_bytes(fs::read(path.join("data/main_data.hdf5")).unwrap()).unwrap();
        let pixels = file.dataset("episode_0/observations/observation.eye").unwrap();
        assert_eq!(pixels.shape().unwrap(), [11, shape[0] as u64, shape[1] as u64, 3]);
        let written: Vec<u8> = (0..=10).flat_map(|row| all[0].row(row).image(0).to_vec()).collect();
        assert_eq!(pixels.read_u8().unwrap(), written);
    }
}
