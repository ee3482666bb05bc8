//! A remote peer: its address, credentials and keys, and what it sends.

use super::toy_srtp::ToySrtp;
use fork_router_engine::core::command::{IceCredentials, TransportConfig};
use fork_router_engine::ids::{SocketId, TransportId, Tuple};
use fork_router_engine::srtp::SrtpSession;
use fork_router_engine::time::Micros;
use fork_router_engine::wire::stun::{
    BindingRequest, IceRole, IntegrityKey, StunClass, StunMessage, TransactionId,
    write_binding_request, write_success_response,
};

pub const SOCKET: SocketId = SocketId(1);

pub fn tuple(port: u16) -> Tuple {
    Tuple {
        socket: SOCKET,
        address: ([192, 0, 2, 1], port).into(),
    }
}

pub fn credentials(name: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}-ufrag"),
        password: format!("{name}-password-of-22-chars"),
    }
}

pub struct Peer {
    pub transport: TransportId,
    pub tuple: Tuple,
    /// Its own credentials.
    pub own: IceCredentials,
    /// Ours, as it knows them.
    pub router: IceCredentials,
    pub srtp: ToySrtp,
    /// It answers our challenges.
    pub answers: bool,
    /// It understands two-byte extension headers among one-byte ones.
    pub allow_mixed: bool,
    transactions: u64,
}

impl Peer {
    pub fn new(number: u16) -> Self {
        let key = u64::from(number);
        Self {
            transport: TransportId(key),
            tuple: tuple(number),
            own: credentials(&format!("peer{number}")),
            router: credentials(&format!("router{number}")),
            srtp: ToySrtp::new(key * 2 + 1, key * 2 + 2),
            answers: true,
            allow_mixed: false,
            transactions: 0,
        }
    }

    pub fn config(&self) -> TransportConfig {
        TransportConfig {
            id: self.transport,
            local: self.router.clone(),
            timeout: Micros::from_secs(30),
            allow_mixed_extensions: self.allow_mixed,
            cname: format!("cname{}", self.transport.0),
        }
    }

    pub fn next_transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.transactions.to_be_bytes());
        id[8..10].copy_from_slice(&self.tuple.address.port().to_be_bytes());
        TransactionId(id)
    }

    /// A connectivity check.
    pub fn check(&mut self, use_candidate: bool) -> Vec<u8> {
        let transaction_id = self.next_transaction();
        self.write_check(transaction_id, use_candidate, IceRole::Controlling(7), 1000)
    }

    pub fn write_check(
        &self,
        transaction_id: TransactionId,
        use_candidate: bool,
        role: IceRole,
        priority: u32,
    ) -> Vec<u8> {
        let request = BindingRequest {
            transaction_id,
            remote_ufrag: &self.router.ufrag,
            local_ufrag: &self.own.ufrag,
            priority,
            role,
            use_candidate,
        };
        let mut buffer = [0; 600];
        let key = IntegrityKey::new(self.router.password.as_bytes());
        let len = write_binding_request(&mut buffer, &request, &key).unwrap();
        buffer[..len].to_vec()
    }

    /// Its answer to our challenge; `None` when that is not one it would answer.
    pub fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let message = StunMessage::parse(request).ok()?;
        let key = IntegrityKey::new(self.own.password.as_bytes());
        let good = message.class == StunClass::Request
            && message.verify_fingerprint()
            && message.verify_integrity(&key)
            && message.ufrags() == Some((self.own.ufrag.as_bytes(), self.router.ufrag.as_bytes()))
            && matches!(message.role, Some(IceRole::Controlled(_)));
        if !good {
            return None;
        }
        let mut buffer = [0; 200];
        let len = write_success_response(
            &mut buffer,
            message.transaction_id,
            self.tuple.address,
            &key,
        )
        .unwrap();
        Some(buffer[..len].to_vec())
    }

    /// Encrypts an RTP packet as the peer does.
    pub fn protect(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + 64, 0);
        let len = self.srtp.protect_rtp(&mut buffer, plain.len()).unwrap();
        buffer.truncate(len);
        buffer
    }

    /// Encrypts an RTCP packet as the peer does.
    pub fn protect_rtcp(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + 64, 0);
        let len = self.srtp.protect_rtcp(&mut buffer, plain.len()).unwrap();
        buffer.truncate(len);
        buffer
    }
}
