//! What the adapters of both dimensions of avian have in common.

/// Writes numbers as `f32`. Those of avian are `f32` or `f64`, as its features say.
macro_rules! to_f32 {
    ($out:expr, $values:expr) => {
        for (out, value) in $out.iter_mut().zip($values) {
            *out = crate::avian::Number::to_f32(value);
        }
    };
}
pub(crate) use to_f32;

/// A number of avian.
pub(crate) trait Number {
    fn to_f32(self) -> f32;
}

impl Number for f32 {
    fn to_f32(self) -> f32 {
        self
    }
}

impl Number for f64 {
    fn to_f32(self) -> f32 {
        self as f32
    }
}

/// Defines the trait of one dimension, with its names of columns and how rotation and angular velocity are read.
macro_rules! adapter {
    (
        $avian:ident,
        $extension:ident,
        position: $position:expr,
        rotation: $rotation:expr, |$rotation_value:ident| $rotation_values:expr,
        linear_velocity: $linear:expr,
        angular_velocity: $angular:expr, |$angular_value:ident| $angular_values:expr,
    ) => {
        use $avian::prelude::{
            AngularVelocity, ContactGraph, ContactPair, Gravity, LinearVelocity, Position, RigidBodyColliders, Rotation,
        };
        use bevy_ecs::{
            component::Component,
            entity::Entity,
            system::{Query, Res},
        };
        use bevy_experience::{prelude::PlayerValues, recording::Recording};

        /// Methods of [`Recording`] that observe the body of a player.
        ///
        /// The values are those after the last step of the physics. `Transform` is not observed: avian interpolates it for
        /// rendering, if the game says so.
        ///
        /// ```
        /// # use bevy_ecs::prelude::*;
        /// use bevy_experience::prelude::*;
        #[doc = concat!("use bevy_experience_adapters::", stringify!($avian), "::", stringify!($extension), ";")]
        ///
        /// # #[derive(Component)] struct Walker;
        /// let recording = Recording::<Walker>::new("walker")
        ///     .observe_body()
        ///     .observe_contacts()
        ///     .observe_grounded(45_f32.to_radians());
        /// ```
        pub trait $extension: Sized {
            #[doc = concat!("Observes position, rotation and velocities of the body: the columns `", stringify!($position), "`,")]
            #[doc = concat!("`", stringify!($rotation), "`, `", stringify!($linear), "` and `", stringify!($angular), "`, in the units of the")]
            /// physics and radians a second, as `f32`. A player without one of the components is not recorded.
            ///
            /// With avian's feature `f64` values are rounded to `f32`, as policies take them: 24 bits, so that a position of
            /// 100,000 is right within 0.004. In a larger world, observe the position relative to a place nearby, with
            /// [`observe_with`](Recording::observe_with).
            fn observe_body(self) -> Self;

            /// Observes the contacts of the body's colliders: `contacts.count`, how many pairs of colliders touch, and
            /// `contacts.impulse`, the sum of their normal impulses in the last step. Sensors do not count.
            fn observe_contacts(self) -> Self;

            /// Observes whether the body stands on something: `grounded` is 1 while a collider touches another whose surface is
            /// inclined by at most `max_slope` radians against gravity, and 0 otherwise, also without gravity.
            ///
            /// # Panics
            /// When `max_slope` is not between 0 and half a turn.
            #[track_caller]
            fn observe_grounded(self, max_slope: f32) -> Self;
        }

        impl<P: Component> $extension for Recording<P> {
            fn observe_body(self) -> Self {
                self.observe_with::<Position>($position, |position, out| to_f32!(out, position.0.to_array()))
                    .observe_with::<Rotation>($rotation, |$rotation_value, out| to_f32!(out, $rotation_values))
                    .observe_with::<LinearVelocity>($linear, |velocity, out| to_f32!(out, velocity.0.to_array()))
                    .observe_with::<AngularVelocity>($angular, |$angular_value, out| to_f32!(out, $angular_values))
            }

            fn observe_contacts(self) -> Self {
                self.observe_system(
                    ["contacts.count", "contacts.impulse"],
                    |players: PlayerValues, graph: Res<ContactGraph>, bodies: Query<&RigidBodyColliders>| {
                        for (player, out) in players {
                            let (mut count, mut impulse) = (0.0, 0.0);
                            for (_, pair) in contacts(player, bodies.get(player).ok(), &graph) {
                                count += 1.0;
                                impulse += pair.total_normal_impulse_magnitude();
                            }
                            to_f32!(out, [count, impulse]);
                        }
                    },
                )
                .bounds("contacts.count", 0.0, f64::INFINITY)
                .bounds("contacts.impulse", 0.0, f64::INFINITY)
            }

            fn observe_grounded(self, max_slope: f32) -> Self {
                assert!(
                    (0.0..=core::f32::consts::PI).contains(&max_slope),
                    "`observe_grounded` was given a slope of {max_slope}: give radians from 0 to π, such as \
                     `45_f32.to_radians()`"
                );
                let least = max_slope.cos();
                self.observe_system(
                    ["grounded"],
                    move |players: PlayerValues,
                          graph: Res<ContactGraph>,
                          gravity: Res<Gravity>,
                          bodies: Query<&RigidBodyColliders>| {
                        let Some(up) = (-gravity.0).try_normalize() else { return };
                        for (player, out) in players {
                            let is_ground = |(is_first, pair): (bool, &ContactPair)| {
                                pair.manifolds.iter().any(|manifold| {
                                    // Normals point from the first collider to the second.
                                    let normal = if is_first { -manifold.normal } else { manifold.normal };
                                    let mut slope = [0.0_f32];
                                    to_f32!(slope, [normal.dot(up)]);
                                    slope[0] >= least
                                })
                            };
                            let is_grounded = contacts(player, bodies.get(player).ok(), &graph).any(is_ground);
                            out[0] = f32::from(is_grounded);
                        }
                    },
                )
                .bounds("grounded", 0.0, 1.0)
            }
        }

        /// The contacts between colliders of a body and others, and whether the body's is the first of the pair.
        fn contacts<'a>(
            body: Entity,
            colliders: Option<&'a RigidBodyColliders>,
            graph: &'a ContactGraph,
        ) -> impl Iterator<Item = (bool, &'a ContactPair)> {
            let others = colliders.into_iter().flatten().filter(move |&collider| collider != body);
            core::iter::once(body).chain(others).flat_map(|collider| {
                graph
                    .contact_pairs_with(collider)
                    .filter(|pair| pair.is_touching() && pair.generates_constraints())
                    .map(move |pair| (pair.collider1 == collider, pair))
            })
        }
    };
}
pub(crate) use adapter;
