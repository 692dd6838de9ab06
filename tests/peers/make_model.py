"""Writes a language model of random weights that Ollama loads like any other: `make_model.py PATH`.

Architecture llama, two blocks of width 64, 300 tokens. It answers in milliseconds, and nonsense; what the
tests look at is how the answer travels. The weights come from a fixed seed, so every run gets the same one.
"""

import sys

import gguf
import numpy

BLOCKS, WIDTH, FEED_FORWARD, HEADS, CONTEXT = 2, 64, 128, 4, 512
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def vocabulary():
    """The three specials, one token for each byte, and words up to 300 tokens."""
    tokens = [b"<unk>", b"<s>", b"</s>"]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    tokens += [f"<0x{byte:02X}>".encode() for byte in range(256)]
    types += [gguf.TokenType.BYTE] * 256
    words = [f"\u2581word{number}".encode() for number in range(300 - len(tokens))]
    tokens += words
    types += [gguf.TokenType.NORMAL] * len(words)
    return tokens, types


def main(path):
    tokens, types = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("attach-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0 if kind != gguf.TokenType.NORMAL else -1.0 for kind in types])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = numpy.random.default_rng(20)

    def add(name, *shape):
        writer.add_tensor(name, (random.standard_normal(shape) * 0.1).astype(numpy.float32))

    def add_ones(name):
        writer.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    add("output.weight", len(tokens), WIDTH)
    add_ones("output_norm.weight")
    for block in range(BLOCKS):
        add_ones(f"blk.{block}.attn_norm.weight")
        add_ones(f"blk.{block}.ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{block}.{part}.weight", WIDTH, WIDTH)
        add(f"blk.{block}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        add(f"blk.{block}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add(f"blk.{block}.ffn_down.weight", WIDTH, FEED_FORWARD)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
