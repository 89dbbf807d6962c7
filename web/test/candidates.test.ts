import assert from "node:assert/strict";
import { test } from "node:test";
import { areAllLoopback } from "../src/room/candidates";

const of = (...addresses: string[]) =>
    addresses.map((address) => `a=candidate:1 1 udp 2113937151 ${address} 3478 typ host\r\n`).join("");

test("a server at loopback addresses only is told from one that others reach", () => {
    assert.equal(areAllLoopback(of("127.0.0.1", "::1")), true);
    assert.equal(areAllLoopback(of("127.0.0.1", "192.0.2.7")), false);
    assert.equal(areAllLoopback("v=0\r\n"), false);
});
