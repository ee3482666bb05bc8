//! Flows over links, millisecond by millisecond.

use crate::link::{Link, Packet, Payload};
use crate::sender::Flow;
use crate::source::{Rate, Source};
use crate::tcp::Tcp;
use crate::trace::{STEP_MS, Step, Trace};
use fork_router_engine::time::Micros;
use std::collections::BTreeMap;

/// Where a flow's packets and its feedback go.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub forth: usize,
    pub back: usize,
}

pub struct World {
    pub links: Vec<Link>,
    pub flows: Vec<Flow>,
    routes: Vec<Route>,
    pub tcp: Option<Tcp>,
    now: Micros,
    on_the_way: BTreeMap<(Micros, u64), Packet>,
    count: u64,
}

/// Fast, for feedback.
pub fn way_back(seed: u64) -> Link {
    Link::new(100e6, seed ^ 0xBACC)
}

impl World {
    /// One flow over a link.
    pub fn single(link: Link, rate: Rate, seed: u64) -> Self {
        Self::new(vec![link, way_back(seed)], vec![Source::new(rate, seed)])
    }

    /// Flows that share the first link forth and the second back.
    pub fn new(links: Vec<Link>, sources: Vec<Source>) -> Self {
        let routes = vec![Route { forth: 0, back: 1 }; sources.len()];
        let flows = sources.into_iter().enumerate();
        Self {
            links,
            flows: flows
                .map(|(index, source)| Flow::new(index, source))
                .collect(),
            routes,
            tcp: None,
            now: Micros(0),
            on_the_way: BTreeMap::new(),
            count: 0,
        }
    }

    pub fn route(mut self, flow: usize, route: Route) -> Self {
        self.routes[flow] = route;
        self
    }

    pub fn run(&mut self, seconds: u64) {
        let end = self.now + Micros::from_secs(seconds);
        while self.now < end {
            self.now = self.now + Micros::from_millis(1);
            self.step();
        }
    }

    pub fn trace(&self, flow: usize) -> &Trace {
        &self.flows[flow].trace
    }

    fn step(&mut self) {
        let now = self.now;
        let mut leaving = Vec::new();
        for (index, flow) in self.flows.iter_mut().enumerate() {
            flow.send(now, &mut leaving);
            let link = &mut self.links[self.routes[index].forth];
            leaving.drain(..).for_each(|packet| link.send(now, packet));
            if let Some(packet) = flow.feedback(now) {
                self.links[self.routes[index].back].send(now, packet);
            }
        }
        if let Some(tcp) = &mut self.tcp {
            tcp.send(now, &mut leaving);
            leaving
                .drain(..)
                .for_each(|packet| self.links[0].send(now, packet));
        }
        let mut arrivals = Vec::new();
        for link in &mut self.links {
            link.advance(now, &mut arrivals);
        }
        for (at, packet) in arrivals {
            self.count += 1;
            self.on_the_way.insert((at, self.count), packet);
        }
        while let Some(entry) = self.on_the_way.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), packet) = entry.remove_entry();
            self.deliver(at, packet);
        }
        if now.as_millis() % STEP_MS == STEP_MS - 1 {
            self.record(now);
        }
    }

    fn deliver(&mut self, at: Micros, packet: Packet) {
        match packet.payload {
            Payload::Media {
                flow,
                seq,
                is_media,
            } => {
                self.flows[flow].on_arrival(at, seq, packet.bytes, is_media);
            }
            Payload::Feedback { flow, message } => self.flows[flow].on_feedback(at, &message),
            Payload::Segment(number) => {
                if let Some(tcp) = &mut self.tcp {
                    let ack = tcp.on_segment(number);
                    self.links[1].send(at, ack);
                }
            }
            Payload::Ack(number) => {
                if let Some(tcp) = &mut self.tcp {
                    tcp.on_ack(at, number);
                }
            }
        }
    }

    fn record(&mut self, now: Micros) {
        for (flow, route) in self.flows.iter_mut().zip(&self.routes) {
            let link = &self.links[route.forth];
            let step = Step {
                estimate: flow.estimator.estimate() as f64,
                limit: flow.estimator.snapshot().limit,
                wait: link.wait(now),
                link: link.rate(now),
                ..Step::default()
            };
            flow.trace.on_step(now, step);
        }
    }
}
