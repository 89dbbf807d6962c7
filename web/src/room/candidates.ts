/** Whether the server of this description can be reached from its own machine only. */
export function areAllLoopback(sdp: string): boolean {
    const addresses = [...sdp.matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) /gm)].map(([, address = ""]) => address);
    return addresses.length > 0 && addresses.every((address) => address === "::1" || address.startsWith("127."));
}
