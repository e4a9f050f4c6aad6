"""The amodal SAM: encodes a frame once, and answers each prompt on it with the full shape of an instance."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import SamConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding, SamPromptEncoder

from samodal import files
from samodal.errors import InputError
from samodal.sam import checkpoints, images, reading
from samodal.sam.adapters import Bottleneck, PromptGenerator, is_adapter
from samodal.sam.config import AmodalSamConfig
from samodal.sam.encoder import ImageEncoder
from samodal.sam.initialise import initialise


@dataclass
class FrameEmbedding:
    """An encoded frame.

    Attributes:
        embedding: (C, g, g) on the model's device.
        original_size: (H, W) of the frame.
        input_size: (h, w) of the frame after resizing, before padding.
    """

    embedding: Tensor
    original_size: images.Size
    input_size: images.Size


@dataclass
class Decoded:
    """The answers to N prompts on one frame, on the model's device.

    Attributes:
        masks: bool (N, H, W), or (N, 3, H, W) with multimask.
        low_res: (N, C, h, w) logits of the padded input, at a quarter of its size; C is 1, with multimask 3.
        scores: (N, C) predicted IoU of each mask.
    """

    masks: Tensor
    low_res: Tensor
    scores: Tensor


class AmodalSam(nn.Module):
    """SAM, fine-tuned to answer a prompt on the visible part with the amodal mask (arXiv 2409.14095).

    Weights have the names of `transformers.SamModel`; prompt encoder and mask decoder are transformers' own.
    A saved model without an adapter loads there as well, and the other way round.

    Args:
        config: sizes and adapter.
        seed: of the initial weights; None leaves them as they come.
    """

    def __init__(self, config: AmodalSamConfig, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        self.shared_image_embedding = SamPositionalEmbedding(config.vision_config)
        self.shared_image_embedding.requires_grad_(False)  # a constant in the original
        self.vision_encoder = ImageEncoder(config)
        self.prompt_encoder = SamPromptEncoder(config)
        self.prompt_encoder.shared_embedding = self.shared_image_embedding
        config.mask_decoder_config._attn_implementation = "sdpa"
        self.mask_decoder = SamMaskDecoder(config.mask_decoder_config)
        if seed is not None:
            initialise(self, torch.Generator().manual_seed(seed))

    # --- loading and saving ---

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        adapter: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
        adapter_dim: int | None = None,
    ) -> "AmodalSam":
        """Load a model that `save_pretrained` wrote, or one of transformers' `SamModel`.

        Args:
            name_or_path: "samodal-nano" (bundled), a folder, or a Hugging Face id (offline: from the cache).
            adapter: None keeps the adapter of the model. A model without one gets a new one of this kind; it
                changes no output until it is trained.
            device: None: CPU.
            dtype: None: float32, also where the file holds float16.
            seed: of the weights of a new adapter.
            adapter_dim: inner width of a new adapter; None: its usual width.

        Raises:
            InputError: no such model, or its weights do not fit its configuration.
        """
        folder = reading.find_folder(name_or_path)
        config = reading.read_config(folder)
        new_adapter = adapter is not None and adapter != config.adapter
        if new_adapter:
            if config.adapter != "none":
                raise InputError(
                    f"{folder}: has a trained {config.adapter}, which cannot be exchanged for {adapter}"
                )
            config = AmodalSamConfig.from_sam(config, adapter=adapter, adapter_dim=adapter_dim)
        model = cls._empty(config)
        model._fill(reading.read_weights(folder), str(folder), new_adapter, seed)
        return model.to(device=device, dtype=dtype).eval()

    @classmethod
    def from_original(
        cls,
        source: str | Path | Mapping,
        adapter: str = "none",
        config: SamConfig | None = None,
        *,
        pad_before_norm: bool | None = None,
        new_adapter: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        seed: int = 0,
    ) -> "AmodalSam":
        """Load a checkpoint in the naming of segment-anything and S-AModal, of any size.

        Training checkpoints are unwrapped, position tables named `rel_h`, `rel_w` are found, modules that the
        original never uses are accepted. A file can never run code.

        Args:
            source: a .pth or .safetensors file, or a state dict.
            adapter: "none", "sam-adapter" or "medical-adapter" (the original's normal, samadpt, adapt).
            config: None: recognised from the shapes (see `checkpoints.recognise` for what cannot be).
            pad_before_norm: True repeats the arithmetic of the original's adapter block (`AmodalSamConfig`);
                None: as `config` says, or False.
            new_adapter: start with a new adapter, which changes no output until it is trained; weights of one
                in the checkpoint are not used.
            device: None: CPU.
            dtype: None: float32.
            seed: of the weights of a new adapter.

        Raises:
            InputError: the file cannot be read; or lists the weights that are missing, unexpected or of
                another shape.
        """
        state, name = checkpoints.read_original(source)
        if adapter == "none" and isinstance(config, AmodalSamConfig):
            adapter = config.adapter
        state = checkpoints.select_original(state, adapter, new_adapter)
        ours = checkpoints.original_config(state, name, adapter, config, pad_before_norm, new_adapter)
        model = cls._empty(ours)
        model._fill(state, name, new_adapter, seed, naming=lambda own: checkpoints.original_name(own, ours))
        return model.to(device=device, dtype=dtype).eval()

    @classmethod
    def _empty(cls, config: AmodalSamConfig) -> "AmodalSam":
        """A model whose weights are still to be filled in."""
        with torch.device("meta"):
            model = cls(config, seed=None)
        return model.to_empty(device="cpu")

    def _fill(
        self,
        state: Mapping[str, Tensor],
        name: str,
        new_adapter: bool,
        seed: int,
        naming: Callable[[str], str] = str,
    ) -> None:
        """Copy `state`, which has the names of `naming`, into the weights; a new adapter is initialised."""
        weights = {
            naming(own): weight
            for own, weight in self.named_parameters()
            if not (new_adapter and is_adapter(own))
        }
        checkpoints.check_fit(weights, state, name)
        with torch.no_grad():
            for key, weight in weights.items():
                weight.copy_(state[key])
        if new_adapter:
            generator = torch.Generator().manual_seed(seed)
            for module in self.modules():
                if isinstance(module, PromptGenerator | Bottleneck):
                    initialise(module, generator)

    def to_original(self) -> dict[str, Tensor]:
        """The weights in the original's naming, as `from_original` reads them (copies, on the CPU).

        The original's code computes the same with them only where `mixed_embedding` and `pad_before_norm` are
        True in the configuration, or concern another adapter.
        """
        state = {
            checkpoints.original_name(own, self.config): weight.detach().cpu().clone()
            for own, weight in self.named_parameters()
        }
        if self.config.adapter == "medical-adapter":  # the original's adapter block has its own names
            state = {key.replace(".attn.rel_pos_", ".attn.rel_"): weight for key, weight in state.items()}
        return state

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write `config.json` and `model.safetensors`, each all of it or nothing.

        Args:
            folder: made where it is missing.
            dtype: of the weights in the file (torch.float16 halves it); None: as they are.
        """
        folder = Path(folder)
        config = copy.deepcopy(self.config)
        config.dtype = dtype or self.dtype
        config.architectures = ["SamModel"]
        weights = {
            name: weight.detach().to("cpu", dtype).contiguous() for name, weight in self.named_parameters()
        }
        with files.replacing(folder / "model.safetensors") as path:
            save_file(weights, path, metadata={"format": "pt"})
        files.write_text(folder / "config.json", config.to_json_string())

    # --- what it is ---

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.prompt_encoder.no_mask_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.prompt_encoder.no_mask_embed.weight.dtype

    @property
    def image_size(self) -> int:
        """Side S of the square input in pixels."""
        return self.config.vision_config.image_size

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The weights of the adapter: what is trained in the encoder when the rest of it is frozen."""
        return [weight for name, weight in self.named_parameters() if is_adapter(name)]

    def forward(
        self,
        pixels: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`encode_pixels`, then `low_res_logits`: what training calls, on one device or many."""
        return self.low_res_logits(self.encode_pixels(pixels), points, labels, boxes, mask_prompts)

    # --- encoding ---

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Encode normalised and padded pixels, float32 (B, 3, S, S) -> (B, C, S/16, S/16). Differentiable."""
        side = self.image_size
        if pixels.ndim != 4 or pixels.shape[1:] != (3, side, side):
            raise InputError(f"pixels must be (B, 3, {side}, {side}), not {tuple(pixels.shape)}")
        return self.vision_encoder(pixels.to(self.dtype))

    def encode(self, frame: np.ndarray) -> FrameEmbedding:
        """Encode one frame, uint8 (H, W, 3) RGB of any size, to be used for all its instances."""
        return self.encode_batch([frame])[0]

    @torch.no_grad()
    def encode_batch(self, frames: Sequence[np.ndarray]) -> list[FrameEmbedding]:
        """Encode several frames of any sizes. On a CPU the company of a frame does not change a bit of it.

        Raises:
            InputError: a frame is not uint8 (H, W, 3).
        """
        resized = [images.resize_frame(frame, self.image_size) for frame in frames]
        pixels = [images.to_pixels(frame, self.image_size, self.device) for frame in resized]
        # Matrix products of other sizes add in another order, see `decode`.
        batch = 1 if self.device.type == "cpu" else max(1, len(pixels))
        parts = [pixels[start : start + batch] for start in range(0, len(pixels), batch)]
        embeddings = [embedding for part in parts for embedding in self.encode_pixels(torch.stack(part))]
        return [
            FrameEmbedding(embedding, frame.shape[:2], small.shape[:2])
            for embedding, frame, small in zip(embeddings, frames, resized, strict=True)
        ]

    # --- decoding ---

    def low_res_logits(
        self,
        embeddings: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        mask_prompts: Tensor | None = None,
        multimask: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Decode N prompts on each of B images. Differentiable; coordinates in pixels of the resized frame.

        Args:
            embeddings: (B, C, g, g).
            points: (B, N, P, 2) as x, y.
            labels: (B, N, P), 1 on the object, 0 off it, -1 no point; needed with points.
            boxes: (B, N, 4) as x0, y0, x1, y1.
            mask_prompts: (B, N, 4g, 4g) logits.
            multimask: three masks a prompt instead of one.

        Returns:
            logits (B, N, C, 4g, 4g) and predicted IoU (B, N, C), float32; C is 1, or 3 with multimask.
        """
        if mask_prompts is None:
            return self._decode(embeddings, points, labels, boxes, None, multimask)
        # A mask prompt changes the image embedding, and the decoder takes one of those an image: every prompt
        # becomes an image of its own.
        shape = mask_prompts.shape[:2]
        points, labels, boxes, mask_prompts = (
            None if part is None else part.flatten(0, 1)[:, None]
            for part in (points, labels, boxes, mask_prompts)
        )
        embeddings = embeddings.repeat_interleave(shape[1], 0)
        logits, scores = self._decode(embeddings, points, labels, boxes, mask_prompts, multimask)
        return logits[:, 0].unflatten(0, shape), scores[:, 0].unflatten(0, shape)

    def _decode(
        self,
        embeddings: Tensor,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        mask_prompt: Tensor | None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """As `low_res_logits`, with at most one mask prompt (B, 1, 4g, 4g) an image."""
        # Positions become phases of many turns: 16 bits would blur them.
        with torch.autocast(embeddings.device.type, enabled=False):
            sparse, dense = self.prompt_encoder(
                input_points=points,
                input_labels=labels,
                input_boxes=boxes,
                input_masks=None if mask_prompt is None else mask_prompt.to(self.dtype),
            )
            positions = self.image_positions()
        logits, scores = self.mask_decoder(
            image_embeddings=embeddings,
            image_positional_embeddings=positions.expand(len(embeddings), -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        return logits.float(), scores.float()

    def image_positions(self) -> Tensor:
        """Positional encoding of the image embedding's cells, (1, C, g, g)."""
        grid = self.prompt_encoder.image_embedding_size[0]
        centres = (torch.arange(grid, device=self.device) + 0.5) / grid
        cells = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
        return self.shared_image_embedding(cells).permute(2, 0, 1)[None]

    @torch.no_grad()
    def decode(
        self,
        emb: FrameEmbedding,
        points: images.Values | None = None,
        labels: images.Values | None = None,
        boxes: images.Values | None = None,
        mask_prompts: images.Values | None = None,
        multimask: bool = False,
        chunk: int = 8,
    ) -> Decoded:
        """Answer N prompts on one frame. Coordinates in pixels of the frame, x right, y down.

        Args:
            emb: from `encode`.
            points: (N, P, 2) as x, y; None with boxes or mask prompts.
            labels: (N, P), 1 on the object, 0 off it, -1 no point, whatever the coordinates; None: all 1.
                As in SAM, "no point" is a token of its own: a prompt padded with it gets nearly, not exactly,
                the answer of the prompt alone.
            boxes: (N, 4) as x0, y0, x1, y1.
            mask_prompts: (N, 4g, 4g) logits, such as `low_res` of an earlier answer.
            multimask: three masks a prompt instead of one.
            chunk: prompts decoded at once, to bound memory; on a CPU always 1.

        Raises:
            InputError: no prompt at all, or arrays that do not fit together.
        """
        side = 4 * emb.embedding.shape[-1]
        prompts = images.input_prompts(
            emb.original_size, emb.input_size, side, points, labels, boxes, mask_prompts
        )
        prompts = {name: value.to(self.device, torch.float32) for name, value in prompts.items()}
        total = len(next(iter(prompts.values())))
        count = self.mask_decoder.num_multimask_outputs if multimask else 1
        masks = torch.empty((total, count, *emb.original_size), dtype=torch.bool, device=self.device)
        low_res = torch.empty((total, count, side, side), device=self.device)
        scores = torch.empty((total, count), device=self.device)
        # A matrix product of another size adds in another order: in company, a prompt gets logits that
        # differ by 1e-6 from those it gets alone, and a mask can differ in a pixel. One at a time is exact,
        # and on a CPU about as fast.
        if self.device.type == "cpu":
            chunk = 1
        for start in range(0, total, chunk):
            part = slice(start, start + chunk)
            few = {name: value[None, part] for name, value in prompts.items()}
            logits, iou = self.low_res_logits(emb.embedding[None], **few, multimask=multimask)
            low_res[part], scores[part] = logits[0], iou[0]
            full = images.logits_to_frame(logits[0], self.image_size, emb.input_size, emb.original_size)
            masks[part] = full > 0
        return Decoded(masks if multimask else masks[:, 0], low_res, scores)
