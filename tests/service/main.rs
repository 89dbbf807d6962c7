//! REST, signaling and what they stand on (Postgres, RabbitMQ, S3), each on real servers.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod browsers;
mod clients;
mod doctor;
mod inventory;
mod models;
mod objects;
mod pages;
mod peers;
mod pooler;
mod postgres;
mod queue;
mod rest;
mod signal;
mod tenant;
mod tiers;
mod transaction;
