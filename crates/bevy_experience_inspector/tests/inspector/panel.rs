//! The panel, driven without a window: what it drew can be read, and clicked on.

use crate::paint::{Painter, Picture};
use bevy_egui::egui::{
    CentralPanel, Context, Event, Modifiers, PointerButton, Pos2, RawInput, Rect, Shape, Theme, epaint::ClippedShape,
    vec2,
};
use bevy_experience::{prelude::*, test_app::TestApp};
use bevy_experience_inspector::{ExperienceInspector, Tab, ui_for_experience};

pub struct Panel {
    pub test: TestApp,
    context: Context,
    size: [u16; 2],
    frames: u32,
    shapes: Vec<ClippedShape>,
    painter: Painter,
}

/// A text that was drawn.
#[derive(Clone, Debug)]
pub struct Text {
    pub text: String,
    pub at: Rect,
    /// What of it can be seen.
    pub clip: Rect,
}

impl Panel {
    pub fn new(test: TestApp) -> Self {
        Self::sized(test, [1000, 700], Theme::Dark)
    }

    pub fn sized(test: TestApp, size: [u16; 2], theme: Theme) -> Self {
        let context = Context::default();
        context.set_theme(theme);
        let mut panel = Self {
            test,
            context,
            size,
            frames: 0,
            shapes: Vec::new(),
            painter: Painter::default(),
        };
        // Sizes settle in the first frames.
        panel.frames(3);
        panel
    }

    pub fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.frame(Vec::new());
        }
    }

    /// Plays a tick, and draws.
    pub fn tick(&mut self) {
        self.test.ticks(1);
        self.frames(1);
    }

    pub fn frame(&mut self, events: Vec<Event>) {
        self.frames += 1;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(
                Pos2::ZERO,
                vec2(self.size[0].into(), self.size[1].into()),
            )),
            time: Some(f64::from(self.frames) / 60.0),
            events,
            ..RawInput::default()
        };
        let world = self.test.world_mut();
        let output = self.context.clone().run_ui(input, |ui| {
            CentralPanel::default().show_inside(ui, |ui| ui_for_experience(world, ui));
        });
        self.painter.learn(&output.textures_delta);
        self.shapes = output.shapes;
    }

    pub fn texts(&self) -> Vec<Text> {
        let mut found = Vec::new();
        for clipped in &self.shapes {
            collect(&clipped.shape, clipped.clip_rect, &mut found);
        }
        found.retain(|text| text.clip.intersects(text.at));
        found
    }

    pub fn shows(&self, text: &str) -> bool {
        self.texts().iter().any(|found| found.text.contains(text))
    }

    #[track_caller]
    pub fn place(&self, text: &str) -> Rect {
        let texts = self.texts();
        let exact = texts.iter().find(|found| found.text.trim() == text);
        let found = exact.or_else(|| texts.iter().find(|found| found.text.contains(text)));
        found
            .unwrap_or_else(|| {
                panic!(
                    "`{text}` is not drawn, but: {:?}",
                    texts.iter().map(|found| &found.text).collect::<Vec<_>>()
                )
            })
            .at
    }

    /// Clicks on a text.
    #[track_caller]
    pub fn click(&mut self, text: &str) {
        let at = self.place(text).center();
        self.click_at(at);
    }

    pub fn click_at(&mut self, at: Pos2) {
        let button = |pressed| Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.frame(vec![Event::PointerMoved(at)]);
        self.frame(vec![button(true)]);
        self.frame(vec![button(false)]);
        self.frames(2);
    }

    /// Clicks on a text, and types.
    #[track_caller]
    pub fn type_at(&mut self, text: &str, typed: &str) {
        self.click(text);
        self.frame(vec![Event::Text(typed.to_owned())]);
        self.frames(2);
    }

    pub fn inspector(&mut self) -> bevy_ecs::world::Mut<'_, ExperienceInspector> {
        self.test.world_mut().resource_mut::<ExperienceInspector>()
    }

    pub fn experience(&mut self) -> bevy_ecs::world::Mut<'_, Experience> {
        self.test.world_mut().resource_mut::<Experience>()
    }

    pub fn show(&mut self, tab: Tab) {
        self.inspector().tab = tab;
        self.frames(3);
    }

    pub fn picture(&mut self) -> Picture {
        let primitives = self.context.tessellate(self.shapes.clone(), 1.0);
        let background = self.context.global_style().visuals.panel_fill;
        self.painter.paint(&primitives, self.size, background)
    }
}

fn collect(shape: &Shape, clip: Rect, found: &mut Vec<Text>) {
    match shape {
        Shape::Text(text) => found.push(Text {
            text: text.galley.text().to_owned(),
            at: text.visual_bounding_rect(),
            clip,
        }),
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| collect(shape, clip, found)),
        _ => {}
    }
}
