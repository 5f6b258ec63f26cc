// Checks what a Concordat gateway wrote with sigstore's own verifier, npm @sigstore/verify:
// that the log signed its checkpoint, and that each record of an exchange is in it.
//
//   node verify.cjs VKEY PROOFS
//
// VKEY is the log's key (C2SP signed-note); PROOFS is a file of proved records, as
// /audit/v1/exchanges/{id}/proof answers it. The library has no check of consistency.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const { verifyCheckpoint } = require('@sigstore/verify/dist/tlog/checkpoint.js');
const { verifyMerkleInclusion } = require('@sigstore/verify/dist/tlog/merkle.js');

// What an Ed25519 key of 32 bytes is preceded by where it is an SPKI (RFC 8410).
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function logOf(vkey) {
  const [, name, id, key] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey);
  const der = Buffer.concat([SPKI, Buffer.from(key, 'base64').subarray(1)]);
  const publicKey = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
  return { name, logID: Buffer.from(id, 'hex'), publicKey, baseURL: name };
}

function entryOf(record) {
  const [head, origin, ...rest] = record.proof.split('\n\n');
  const [version, index, ...hashes] = head.split('\n');
  if (version !== 'c2sp.org/tlog-proof@v1') throw new Error('not a tlog-proof');
  return {
    canonicalizedBody: Buffer.from(record.entry),
    inclusionProof: {
      logIndex: index.replace('index ', ''),
      hashes: hashes.map((hash) => Buffer.from(hash, 'base64')),
      checkpoint: { envelope: [origin, ...rest].join('\n\n') },
    },
  };
}

const [vkey, proofs] = process.argv.slice(2);
const log = logOf(vkey);
for (const record of JSON.parse(fs.readFileSync(proofs, 'utf8')).records) {
  const entry = entryOf(record);
  const checkpoint = verifyCheckpoint(entry, [log]);
  if (checkpoint.origin !== log.name) throw new Error('the checkpoint is of another log');
  verifyMerkleInclusion(entry, checkpoint);
  const { kind } = JSON.parse(record.entry);
  const { logIndex } = entry.inclusionProof;
  console.log(`${kind} at index ${logIndex} is in ${log.name} of size ${checkpoint.logSize}`);
}
console.log('verified');
