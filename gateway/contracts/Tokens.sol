// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// ERC-20 tokens as they are: some return nothing, some return false in place of reverting, some
/// charge on the way. Nothing that a token returns is copied beyond one word, and where others'
/// messages wait in the same transaction its gas is bounded.
library Tokens {
    /// Gas for `balanceOf` of a token behind a proxy.
    uint256 internal constant BALANCE_GAS = 60_000;
    /// Gas for a transfer, in the same place: ordinary ones take 30,000 to 70,000.
    uint256 internal constant TRANSFER_GAS = 200_000;

    /// Less gas is left than a token may use: the caller's fault, no verdict on the token.
    error InsufficientGas();

    /// What `account` holds; not ok where the token does not say.
    function balanceOf(address token, address account) internal view returns (bool ok, uint256 held) {
        enough(BALANCE_GAS);
        assembly ("memory-safe") {
            // balanceOf(address)
            mstore(0, shl(224, 0x70a08231))
            mstore(4, account)
            ok := staticcall(BALANCE_GAS, token, 0, 36, 0, 32)
            ok := and(ok, gt(returndatasize(), 31))
            held := mul(ok, mload(0))
        }
    }

    /// `transfer`, with `TRANSFER_GAS` or, where nobody else waits, all gas of who called.
    function transfer(address token, address to, uint256 amount, bool bounded) internal returns (bool) {
        if (bounded) enough(TRANSFER_GAS);
        uint256 gasLimit = bounded ? TRANSFER_GAS : gasleft();
        bool ok;
        assembly ("memory-safe") {
            let start := mload(0x40)
            // transfer(address,uint256)
            mstore(start, shl(224, 0xa9059cbb))
            mstore(add(start, 4), to)
            mstore(add(start, 36), amount)
            mstore(0, 0)
            ok := call(gasLimit, token, 0, start, 68, 0, 32)
        }
        return taken(token, ok);
    }

    /// `transferFrom` on the account and the gas of who called.
    function transferFrom(address token, address from, address to, uint256 amount) internal returns (bool) {
        bool ok;
        assembly ("memory-safe") {
            let start := mload(0x40)
            // transferFrom(address,address,uint256)
            mstore(start, shl(224, 0x23b872dd))
            mstore(add(start, 4), from)
            mstore(add(start, 36), to)
            mstore(add(start, 68), amount)
            mstore(0, 0)
            ok := call(gas(), token, 0, start, 100, 0, 32)
        }
        return taken(token, ok);
    }

    /// Whether the call just made took: it returned true, or nothing where there is code.
    function taken(address token, bool ok) private view returns (bool) {
        uint256 size;
        uint256 word;
        assembly ("memory-safe") {
            size := returndatasize()
            word := mload(0)
        }
        if (!ok) return false;
        return size == 0 ? token.code.length != 0 : size > 31 && word == 1;
    }

    /// EIP-150: a call gets at most 63/64 of what is left. 5,000 is for the call itself.
    function enough(uint256 gasLimit) private view {
        uint256 left = gasleft();
        if (left < 5_000 || left - left / 64 < gasLimit + 5_000) revert InsufficientGas();
    }
}
