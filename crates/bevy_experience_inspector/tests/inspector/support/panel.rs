//! Drives the inspector's panel without a window: input events in, drawn text and screenshots out.

use super::{
    game,
    rasterizer::{Rasterizer, Screenshot},
};
use bevy_ecs::{schedule::ScheduleLabel, world::World};
use bevy_egui::egui::{
    CentralPanel, ColorImage, Context, Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Shape, TextureId,
    TextureOptions, Theme, epaint::ClippedShape, vec2,
};
use bevy_experience::export::{ExportSettings, RecordingInfo, RetrySettings, Sink, SinkError};
use bevy_experience::{account::RunReport, transition::Episode};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_inspector::{ExperienceInspector, ExperienceInspectorPlugin, Tab, ui_for_experience};
use core::time::Duration;
use std::borrow::Cow;

/// An app, and an egui context that shows its inspector.
pub struct Panel {
    pub test: TestApp,
    context: Context,
    size: [u16; 2],
    frames: u32,
    shapes: Vec<ClippedShape>,
    rasterizer: Rasterizer,
}

/// A piece of text in the last frame.
#[derive(Clone, Debug)]
pub struct DrawnText {
    pub text: String,
    pub rect: Rect,
    /// The area outside which nothing is visible.
    pub clip: Rect,
}

impl Panel {
    /// A dark panel of 1000×700 points.
    pub fn new(test: TestApp) -> Self {
        Self::sized(test, [1000, 700], Theme::Dark)
    }

    /// A panel of `size` points, at one pixel per point.
    pub fn sized(test: TestApp, size: [u16; 2], theme: Theme) -> Self {
        let context = Context::default();
        context.set_theme(theme);
        let mut panel = Self {
            test,
            context,
            size,
            frames: 0,
            shapes: Vec::new(),
            rasterizer: Rasterizer::default(),
        };
        // egui measures widgets in the first frames and lays them out in later ones.
        panel.frames(3);
        panel
    }

    /// A panel over a game whose only sink refuses every episode, drawn after the failure was reported.
    pub fn with_failing_sink(size: [u16; 2], theme: Theme) -> Self {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            export: ExportSettings {
                retry: RetrySettings {
                    patience: Duration::ZERO,
                    ..RetrySettings::default()
                },
                flush_interval: Duration::from_millis(5),
                ..ExportSettings::default()
            },
            ..ExperiencePlugin::default()
        });
        test.add_plugins(ExperienceInspectorPlugin::default());
        test.add_recording(game::recording().sink(FailingSink));
        game::spawn_fighter(&mut test, 0);
        test.ticks(10);
        let mut panel = Self::sized(test, size, theme);
        panel.experience().end_episode("fighter", 100, "test").unwrap();
        let is_shown = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            panel.tick();
            panel.shows(FAILING_SINK_ERROR)
        });
        assert!(is_shown, "{:?}", panel.texts());
        panel
    }

    /// Draws frames without input.
    pub fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.frame(Vec::new());
        }
    }

    /// Runs one tick and draws one frame.
    pub fn tick(&mut self) {
        self.test.ticks(1);
        self.frames(1);
    }

    /// Draws one frame with input events.
    pub fn frame(&mut self, events: Vec<Event>) {
        self.frames += 1;
        let input = raw_input(self.size, f64::from(self.frames) / 60.0, events);
        let world = self.test.world_mut();
        let output = self.context.clone().run_ui(input, |ui| {
            CentralPanel::default().show_inside(ui, |ui| ui_for_experience(world, ui));
        });
        self.rasterizer.update_textures(&output.textures_delta);
        self.shapes = output.shapes;
    }

    /// The visible text of the last frame.
    pub fn texts(&self) -> Vec<DrawnText> {
        let mut found = Vec::new();
        for clipped in &self.shapes {
            collect_text(&clipped.shape, clipped.clip_rect, &mut found);
        }
        found.retain(|text| text.clip.intersects(text.rect));
        found
    }

    /// Whether visible text contains `text`.
    pub fn shows(&self, text: &str) -> bool {
        self.texts().iter().any(|found| found.text.contains(text))
    }

    /// Where `text` was drawn. A text that equals it is preferred over one that contains it.
    #[track_caller]
    pub fn find(&self, text: &str) -> Rect {
        let texts = self.texts();
        let exact = texts.iter().find(|found| found.text.trim() == text);
        let found = exact.or_else(|| texts.iter().find(|found| found.text.contains(text)));
        found
            .unwrap_or_else(|| {
                panic!(
                    "`{text}` is not among the drawn texts: {:?}",
                    texts.iter().map(|found| &found.text).collect::<Vec<_>>()
                )
            })
            .rect
    }

    /// Clicks on the centre of a text.
    #[track_caller]
    pub fn click(&mut self, text: &str) {
        let position = self.find(text).center();
        self.click_at(position);
    }

    pub fn click_at(&mut self, position: Pos2) {
        for events in click_events(position) {
            self.frame(events);
        }
        self.frames(2);
    }

    /// Clicks on the centre of a text within the next update: in a system of `schedule`.
    #[track_caller]
    pub fn click_within(&mut self, schedule: impl ScheduleLabel, text: &str) {
        let (position, context) = (self.find(text).center(), self.context.clone());
        let (size, mut time) = (self.size, f64::from(self.frames) / 60.0);
        let mut frames = click_events(position).into_iter();
        let click = move |world: &mut World| {
            for events in frames.by_ref() {
                time += 0.001;
                let input = raw_input(size, time, events);
                let _ = context.run_ui(input, |ui| {
                    CentralPanel::default().show_inside(ui, |ui| ui_for_experience(world, ui));
                });
            }
        };
        self.test.add_systems(schedule, click);
        self.test.ticks(1);
        self.frames(2);
    }

    /// Clicks on a text and enters more.
    #[track_caller]
    pub fn type_at(&mut self, text: &str, typed: &str) {
        self.click(text);
        self.frame(vec![Event::Text(typed.to_owned())]);
        self.frames(2);
    }

    /// The inspector's resource.
    pub fn inspector(&mut self) -> bevy_ecs::world::Mut<'_, ExperienceInspector> {
        self.test.world_mut().resource_mut::<ExperienceInspector>()
    }

    /// The library's resource.
    pub fn experience(&mut self) -> bevy_ecs::world::Mut<'_, Experience> {
        self.test.world_mut().resource_mut::<Experience>()
    }

    /// Switches to a tab and draws it.
    pub fn show(&mut self, tab: Tab) {
        self.inspector().tab = tab;
        self.frames(3);
    }

    /// The textures of images, which are all but that of the fonts, in the order of their creation.
    pub fn images(&self) -> Vec<&ColorImage> {
        let textures = self.rasterizer.textures.iter();
        let mut images: Vec<_> = textures.filter(|(id, _)| **id != TextureId::default()).collect();
        images.sort_by_key(|(id, _)| match id {
            TextureId::Managed(id) | TextureId::User(id) => *id,
        });
        images.into_iter().map(|(_, image)| image).collect()
    }

    /// How the textures of images are to be sampled.
    pub fn image_options(&self) -> Vec<TextureOptions> {
        let options = self.rasterizer.options.iter();
        options
            .filter(|(id, _)| **id != TextureId::default())
            .map(|(_, options)| *options)
            .collect()
    }

    /// Rasterizes the last frame.
    pub fn screenshot(&mut self) -> Screenshot {
        let primitives = self.context.tessellate(self.shapes.clone(), 1.0);
        let background = self.context.global_style().visuals.panel_fill;
        self.rasterizer.paint(&primitives, self.size, background)
    }
}

fn raw_input(size: [u16; 2], time: f64, events: Vec<Event>) -> RawInput {
    RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(size[0].into(), size[1].into()))),
        time: Some(time),
        events,
        ..RawInput::default()
    }
}

/// The events of three frames in which a button of the mouse is clicked.
fn click_events(position: Pos2) -> [Vec<Event>; 3] {
    let button = |pressed| Event::PointerButton {
        pos: position,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    [
        vec![Event::PointerMoved(position)],
        vec![button(true)],
        vec![button(false)],
    ]
}

fn collect_text(shape: &Shape, clip: Rect, found: &mut Vec<DrawnText>) {
    match shape {
        Shape::Text(text) => found.push(DrawnText {
            text: text.galley.text().to_owned(),
            rect: text.visual_bounding_rect(),
            clip,
        }),
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| collect_text(shape, clip, found)),
        _ => {}
    }
}

/// The error of [`FailingSink`].
pub const FAILING_SINK_ERROR: &str = "cable unplugged";

/// A sink that opens and closes, but fails every write.
struct FailingSink;

impl Sink for FailingSink {
    fn describe(&self) -> Cow<'_, str> {
        "a failing sink".into()
    }

    fn open(&mut self, _: &RecordingInfo) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: &[Episode]) -> Result<(), SinkError> {
        Err(SinkError::Other(FAILING_SINK_ERROR.to_owned()))
    }

    fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }

    fn close(&mut self, _: &RunReport) -> Result<(), SinkError> {
        Ok(())
    }
}
