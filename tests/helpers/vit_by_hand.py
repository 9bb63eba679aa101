"""Vision transformers, written out from their weights: what a network of timm must agree with."""

from __future__ import annotations

import torch
from torch.nn import functional


def tokens_by_hand(state, batch, *, heads, patch, registers=0, swiglu=False):
    """All tokens after the last norm: class token, registers, patches row by row."""
    x = _patches(batch, patch) @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    prefix = [state["cls_token"]] + ([state["reg_token"]] if registers else [])
    prefix = torch.cat([one.expand(len(x), -1, -1) for one in prefix], dim=1)
    if state["pos_embed"].shape[1] == x.shape[1]:
        x = torch.cat([prefix, x + state["pos_embed"]], dim=1)
    else:
        x = torch.cat([prefix, x], dim=1) + state["pos_embed"]
    for i in range(1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))):
        block = {name.removeprefix(f"blocks.{i}."): v for name, v in state.items() if name.startswith(f"blocks.{i}.")}
        x = x + _attention(_norm(x, block, "norm1"), block, heads) * block.get("ls1.gamma", 1.0)
        x = x + _mlp(_norm(x, block, "norm2"), block, swiglu=swiglu) * block.get("ls2.gamma", 1.0)
    return _norm(x, state, "norm")


def attended_by_hand(state, tokens, heads=8):
    """The attention pooling of CONCH and, where its projections have no biases, of CONCH v1.5."""
    pool = {n.removeprefix("attn_pool_contrast."): v for n, v in state.items() if n.startswith("attn_pool_contrast.")}
    keys, query = _norm(tokens, pool, "ln_k", 1e-5), _norm(pool["query"], pool, "ln_q", 1e-5)
    if "to_q.weight" in pool:
        query, both = query @ pool["to_q.weight"].T, keys @ pool["to_kv.weight"].T
        keys, values = both.chunk(2, dim=-1)
    else:
        bias = pool["attn.in_proj_bias"].chunk(3)
        query = query @ pool["attn.q_proj_weight"].T + bias[0]
        keys, values = keys @ pool["attn.k_proj_weight"].T + bias[1], keys @ pool["attn.v_proj_weight"].T + bias[2]
    found = []
    for q, k, v in zip(query.chunk(heads, -1), keys.chunk(heads, -1), values.chunk(heads, -1), strict=True):
        share = (k @ q[0] / q.shape[-1] ** 0.5).softmax(dim=1)
        found.append((share[..., None] * v).sum(dim=1))
    out = "to_out" if "to_q.weight" in pool else "attn.out_proj"
    pooled = torch.cat(found, dim=-1) @ pool[f"{out}.weight"].T + pool.get(f"{out}.bias", 0.0)
    return _norm(pooled, state, "ln_contrast", 1e-5)


def _patches(batch, side):
    """(b, n, 3 * side²), row by row."""
    return functional.unfold(batch, side, stride=side).transpose(1, 2)


def _norm(x, state, name, eps=1e-6):
    centered = x - x.mean(dim=-1, keepdim=True)
    scale = (centered.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return centered / scale * state[f"{name}.weight"] + state[f"{name}.bias"]


def _attention(x, block, heads):
    qkv = x @ block["attn.qkv.weight"].T + block["attn.qkv.bias"]
    out = []
    for q, k, v in zip(*(one.chunk(heads, dim=-1) for one in qkv.chunk(3, dim=-1)), strict=True):
        share = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        out.append(share @ v)
    return torch.cat(out, dim=-1) @ block["attn.proj.weight"].T + block["attn.proj.bias"]


def _mlp(x, block, *, swiglu):
    hidden = x @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"]
    if swiglu:
        gate, value = hidden.chunk(2, dim=-1)
        hidden = gate * torch.sigmoid(gate) * value
    else:
        hidden = functional.gelu(hidden)
    return hidden @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"]
